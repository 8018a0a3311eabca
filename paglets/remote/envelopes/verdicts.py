"""A target's verdict on a transfer, signed; ARRIVED is the receipt that the paglet's passport keeps.

The signed part depends on nothing but the stored verdict, so asking again gives the same bytes. What moves
on - the answering store's id and commit number, whether the paglet's life there has begun - travels beside it and is
vouched for by the connection.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import Outcome, VerdictRecord
from paglets.remote.envelopes.fields import MAX_REASON, Count, Line, Reason, check_key_id, check_line
from paglets.remote.envelopes.header import check_incarnation
from paglets.remote.trust.errors import MalformedFrameError, MisdirectedFrameError
from paglets.remote.trust.signed_frames import FRAME_OVERHEAD, SignedFrame, open_frame, seal_frame
from paglets.remote.trust.strict_json import read_strict, write_strict

if TYPE_CHECKING:
    from paglets.remote.trust.keys import HostKey

VERDICT_LABEL = b"paglets-verdict-v1\0"
MAX_VERDICT_BYTES = 16 * 1024


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The final word of ``target`` on one transfer of ``source``."""

    mesh_id: str
    transfer_id: TransferId
    agent_id: Line
    incarnation: Incarnation
    source: str
    target: str
    outcome: Outcome
    reason: Reason
    """Why it was fenced, for people; empty for ARRIVED."""
    at: float
    """Wall clock of the target, for people."""


@dataclass(frozen=True, slots=True)
class SignedVerdict:
    """A verdict with its signature, made or verified here."""

    verdict: Verdict
    frame: SignedFrame

    def encode(self) -> bytes:
        """The receipt: the signed frame alone."""
        return self.frame.encode()


class VerdictAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A verdict as it travels, with the state of the store that gave it beside."""

    verdict: str
    """The signed frame."""
    store_id: Line
    commit: Count
    begun: bool = False
    """Its first hook has returned, or it has none: whoever waits for that need not ask."""

    def encode(self) -> bytes:
        """JSON."""
        return msgspec.json.encode(self)


MAX_ANSWER_BYTES = 2 * (MAX_VERDICT_BYTES + FRAME_OVERHEAD) + 1024


def sign_verdict(key: HostKey, mesh_id: str, record: VerdictRecord) -> SignedVerdict:
    """Sign a stored verdict with the target's key; the same record gives the same bytes."""
    verdict = Verdict(
        mesh_id=mesh_id,
        transfer_id=record.transfer_id,
        agent_id=record.agent_id,
        incarnation=record.incarnation,
        source=record.transfer_id.source,
        target=key.host_id,
        outcome=record.outcome,
        reason=_printable(record.reason),
        at=record.at,
    )
    _check(verdict)
    return SignedVerdict(verdict, seal_frame(key, VERDICT_LABEL, write_strict(verdict)))


def read_verdict(data: bytes | str, *, mesh_id: str, target: str | None = None) -> SignedVerdict:
    """Verify and read a verdict, for tools and passports; a source uses :func:`verify_verdict`.

    Raises:
        FrameError: malformed, altered or badly signed.
        MisdirectedFrameError: of another mesh, or not by ``target``.
    """
    frame = open_frame(data, VERDICT_LABEL, max_body=MAX_VERDICT_BYTES)
    if target is not None and frame.signer_id != target:
        raise MisdirectedFrameError(f"a verdict of {target} is signed by {frame.signer_id}")
    verdict = read_strict(frame.body, Verdict, what="a verdict")
    _check(verdict)
    if verdict.target != frame.signer_id:
        raise MisdirectedFrameError("a verdict names another target than the key that signed it")
    if verdict.mesh_id != mesh_id:
        raise MisdirectedFrameError("a verdict is of another mesh")
    return SignedVerdict(verdict, frame)


def verify_verdict(
    data: bytes | str,
    *,
    mesh_id: str,
    target: str,
    transfer_id: TransferId,
    agent_id: str,
    incarnation: Incarnation,
) -> SignedVerdict:
    """Verify that this is ``target``'s verdict on exactly that transfer; only then may it settle anything.

    Raises:
        FrameError: malformed, altered or badly signed.
        MisdirectedFrameError: anybody else's, or on anything else.
    """
    signed = read_verdict(data, mesh_id=mesh_id, target=target)
    found = signed.verdict
    if (found.transfer_id, found.agent_id, found.incarnation) != (transfer_id, agent_id, incarnation):
        raise MisdirectedFrameError(
            f"a verdict on transfer {found.transfer_id} of {found.agent_id} came for another"
        )
    return signed


def read_verdict_answer(data: bytes) -> VerdictAnswer:
    """Read the outer form; the verdict inside is not verified yet."""
    if len(data) > MAX_ANSWER_BYTES:
        raise MalformedFrameError(f"a verdict of {len(data)} bytes is over its bound of {MAX_ANSWER_BYTES}")
    return read_strict(data, VerdictAnswer, what="a verdict's frame")


def receipt_digest(receipt: bytes) -> str:
    """SHA-256 of a receipt (the signed frame of an ARRIVED verdict), hex; empty for no receipt."""
    return hashlib.sha256(receipt).hexdigest() if receipt else ""


def _check(verdict: Verdict) -> None:
    check_key_id(verdict.mesh_id, "a verdict's mesh")
    check_key_id(verdict.source, "a verdict's source")
    check_key_id(verdict.target, "a verdict's target")
    check_line(verdict.agent_id, "a verdict's agent id")
    check_line(verdict.reason, "a verdict's reason", required=False)
    check_incarnation(verdict.incarnation)
    if verdict.transfer_id.source != verdict.source or verdict.transfer_id.counter < 1:
        raise MalformedFrameError("a verdict's transfer id is not its source's")


def _printable(reason: str) -> str:
    """A reason as one bounded line: it may quote an author's exception."""
    shown = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(shown.split())[:MAX_REASON].strip()
