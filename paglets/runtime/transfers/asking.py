"""A source's questions to a target, and what of the answers may settle a transfer."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import AuthenticationError, ForbiddenError, PagletError
from paglets.persistence.journal.peers import note_peer_store
from paglets.remote.api import VERDICT_ASK, VerdictAskParams
from paglets.remote.envelopes.verdicts import read_verdict_answer, verify_verdict
from paglets.runtime.transfers import events as on

if TYPE_CHECKING:
    from paglets.persistence.records import Outgoing
    from paglets.persistence.store import Store
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


class Asker:
    """Asks targets for verdicts and reads what they say; nothing unsigned settles anything."""

    def __init__(self, *, peers: Peers, store: Store, here: Here, open_transfers: OpenTransfers) -> None:
        self._peers = peers
        self._store = store
        self._here = here
        self._open_transfers = open_transfers

    async def ask(self, outgoing: Outgoing, agent_id: str) -> on.Event:
        """Ask the target of a transfer for its verdict; what came of it, as an event for the machine."""
        params = VerdictAskParams(
            source=outgoing.transfer_id.source,
            counter=outgoing.transfer_id.counter,
            agent_id=agent_id,
            incarnation=outgoing.incarnation,
            floor=self._open_transfers.floor(outgoing.target_id),
        )
        try:
            raw = await self._peers.call(
                outgoing.target_id, outgoing.target_url, VERDICT_ASK, params, timeout=ASK_TIMEOUT
            )
            reply = msgspec.json.decode(raw, type=VerdictReply)
            if reply.closed is not None:
                return on.ClosedReceived(reply.closed)
            if not reply.verdict:
                return on.AskFailed(reply.unsure or "the target gave no verdict")
            return await self.read(outgoing, agent_id, base64.b64decode(reply.verdict, validate=True))
        except (PagletError, msgspec.MsgspecError, binascii.Error) as error:
            return on.AskFailed(str(error))

    async def read(self, outgoing: Outgoing, agent_id: str, answer: bytes) -> on.Event:
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
            return on.AskFailed(str(error))
        store_id, commit = outer.store_id, outer.commit
        await self._store.commit(lambda tx: note_peer_store(tx, outgoing.target_id, store_id, commit))
        verdict = signed.verdict
        return on.VerdictReceived(verdict.outcome, verdict.incarnation, verdict.reason)
