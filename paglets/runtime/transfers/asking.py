"""A source's questions to a target, and what of the answers may settle a transfer."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from paglets.core.errors import AuthenticationError, ForbiddenError, PagletError
from paglets.persistence.records import PeerRecord
from paglets.remote.api import VERDICT_ASK, VerdictAskParams
from paglets.remote.envelopes.verdicts import read_verdict_answer, verify_verdict
from paglets.runtime.transfers import events as on

if TYPE_CHECKING:
    from paglets.persistence.records import Outgoing
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers
    from paglets.runtime.transfers.open_ids import OpenTransfers

logger = logging.getLogger(__name__)

ASK_TIMEOUT = 10.0


class VerdictReply(msgspec.Struct, frozen=True):
    """How a target answers: one of the three is set."""

    verdict: str = ""
    """The verdict's frame, base64."""
    closed: int | None = None
    """The floor below which the target keeps no verdicts."""
    unsure: str = ""
    """Why it cannot say."""


class Heard(NamedTuple):
    """What came of a question, as an event for the machine."""

    event: on.Event
    store: PeerRecord | None = None
    """How far the target's store was when it spoke; to be noted with what settles the transfer."""
    verdict: bytes = b""
    """What it signed."""
    begun: bool = False
    """The paglet's first hook there has returned, or it has none."""


class Asker:
    """Asks targets for verdicts and reads what they say; nothing unsigned settles anything."""

    def __init__(self, *, peers: Peers, here: Here, open_transfers: OpenTransfers) -> None:
        self._peers = peers
        self._here = here
        self._open_transfers = open_transfers

    async def ask(self, outgoing: Outgoing, agent_id: str) -> Heard:
        """Ask the target of a transfer for its verdict; whatever goes wrong is an `AskFailed`."""
        params = VerdictAskParams(
            source=outgoing.transfer_id.source,
            counter=outgoing.transfer_id.counter,
            agent_id=agent_id,
            incarnation=outgoing.incarnation,
            floor=self._open_transfers.floor(outgoing.target_id),
            next_counter=self._open_transfers.next_counter,
        )
        try:
            raw = await self._peers.call(
                outgoing.target_id, outgoing.target_url, VERDICT_ASK, params, timeout=ASK_TIMEOUT
            )
            reply = msgspec.json.decode(raw, type=VerdictReply)
            if reply.closed is not None:
                return Heard(on.ClosedReceived(reply.closed))
            if not reply.verdict:
                return Heard(on.AskFailed(reply.unsure or "the target gave no verdict"))
            return self.read(outgoing, agent_id, base64.b64decode(reply.verdict, validate=True))
        except (PagletError, msgspec.MsgspecError, binascii.Error) as error:
            return Heard(on.AskFailed(str(error)))
        except Exception as error:
            logger.exception("asking for a verdict failed", extra={"transfer_id": str(outgoing.transfer_id)})
            return Heard(on.AskFailed(f"{type(error).__name__}: {error}"))

    def read(self, outgoing: Outgoing, agent_id: str, answer: bytes) -> Heard:
        """Verify a verdict's frame as it came; an answer that is not the target's own settles nothing."""
        try:
            outer = read_verdict_answer(answer)
            signed = verify_verdict(
                outer.verdict,
                mesh_id=self._here.mesh_id,
                target=outgoing.target_id,
                transfer_id=outgoing.transfer_id,
                agent_id=agent_id,
                incarnation=outgoing.incarnation,
            )
        except (AuthenticationError, ForbiddenError) as error:
            logger.warning(
                "a verdict was refused", extra={"transfer_id": str(outgoing.transfer_id), "error": str(error)}
            )
            return Heard(on.AskFailed(str(error)))
        verdict = signed.verdict
        store = PeerRecord(outgoing.target_id, outer.store_id, outer.commit)
        event = on.VerdictReceived(verdict.outcome, verdict.incarnation, verdict.reason)
        return Heard(event, store, signed.encode(), outer.begun)
