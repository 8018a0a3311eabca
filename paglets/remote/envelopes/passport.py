"""A paglet's passport: receipts chained by digest, one for each time that a host took it in.

A header names the receipt by which the paglet came to the source of this move. So from the newest header
back, each receipt shows who had the paglet, signed by that host; nobody can leave out a stop or put one in
without the signatures of the hosts on both sides of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from paglets.core.errors import AuthenticationError, ForbiddenError
from paglets.persistence.records import Outcome
from paglets.remote.envelopes.header import EnvelopeHeader, verify_header
from paglets.remote.envelopes.verdicts import Verdict, read_verdict, receipt_digest
from paglets.remote.trust.errors import MisdirectedFrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.remote.envelopes.stops import Stop

Link = Literal["verified", "birth", "cut-off", "unknown", "broken"]


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One stop of a passport, for people: what of it was verified, and what does not fit.

    What only an unverified frame says is left empty.
    """

    kind: str = ""
    transfer_id: str = ""
    agent_id: str = ""
    """Of the paglet that moved: before it was cloned, its original's."""
    source: str = ""
    source_name: str = ""
    target: str = ""
    target_name: str = ""
    """Host ids, which are their keys; names are what the source called them."""
    lineage: int = 0
    epoch: int = 0
    sent_at: float = 0.0
    received_at: float = 0.0
    """By the wall clocks of source and target."""
    header: Literal["verified", "not-kept", "broken"]
    """What the source signed."""
    receipt: Literal["verified", "broken"]
    """What the target signed."""
    link: Link
    """To the stop before: ``birth``: there is none, it was born at the source; ``cut-off``: older ones are not kept;
    ``unknown``: nothing kept says so."""
    problems: tuple[str, ...] = ()


class Passport(msgspec.Struct, frozen=True, kw_only=True):
    """A passport as it was verified."""

    hops: tuple[Hop, ...]
    """The oldest first."""
    fits: bool
    """Every signature holds, every link that can be verified is, and nothing contradicts."""
    complete: bool
    """It fits, and goes back to where the paglet was born."""
    problems: tuple[str, ...]
    """Of the whole; each hop has its own."""

    @property
    def summary(self) -> str:
        """In one sentence."""
        if not self.fits:
            return "It does not fit: do not go by it."
        if self.complete:
            return "All signatures and links were verified, back to where it was born."
        return "What is shown was verified; what lies before it is not."


def check_passport(stops: Sequence[Stop], *, mesh_id: str, agent_id: str, receipt: str = "") -> Passport:
    """Verify each signature and each link of a paglet's passport, and that it ends with ``receipt``.

    ``receipt``: by which the paglet came to where it is; empty when that is not known, or it was born there.
    Signatures are those of the keys that the host ids name; whether a key has been revoked since is not looked at.
    Never raises.
    """
    hops: list[Hop] = []
    about = agent_id
    for number in range(len(stops) - 1, -1, -1):
        hop, about = _read_hop(stops, number, mesh_id, about)
        hops.append(hop)
    problems: list[str] = []
    if receipt and stops and stops[-1].receipt != receipt:
        problems.append(
            "the receipt by which it came to where it is does not stand at the end of its passport"
        )
    fits = not problems and not any(hop.problems for hop in hops)
    complete = fits and (hops[-1].link == "birth" if hops else not receipt)
    complete = complete and all(hop.link in {"birth", "verified"} for hop in hops)
    return Passport(hops=tuple(reversed(hops)), fits=fits, complete=complete, problems=tuple(problems))


def _read_hop(stops: Sequence[Stop], number: int, mesh_id: str, agent_id: str) -> tuple[Hop, str]:
    """One hop, and the id that the paglet had before it."""
    stop, problems = stops[number], list[str]()
    header = _header(stop, mesh_id, agent_id, problems)
    signed_by_source = "verified" if header is not None else "broken" if stop.header else "not-kept"
    receipt = _receipt(stop, mesh_id, agent_id, header, problems)
    link: Link = "unknown"
    if header is not None:
        link = _link(header, stops[number - 1] if number else None, problems)
    hop = Hop(
        agent_id=agent_id,
        header=signed_by_source,
        receipt="verified" if receipt is not None else "broken",
        link=link,
        problems=tuple(problems),
    )
    if receipt is not None:
        hop = msgspec.structs.replace(
            hop,
            transfer_id=str(receipt.transfer_id),
            source=receipt.source,
            target=receipt.target,
            lineage=receipt.incarnation.lineage.number,
            epoch=receipt.incarnation.epoch,
            received_at=receipt.at,
        )
    if header is not None:
        hop = msgspec.structs.replace(
            hop,
            kind=header.kind.value,
            transfer_id=str(header.transfer_id),
            source=header.source,
            source_name=header.source_name,
            target=header.destination,
            target_name=header.target_name,
            lineage=header.incarnation.lineage.number,
            epoch=header.incarnation.epoch,
            sent_at=header.sent_at,
        )
    return hop, (header.clone_of if header is not None else "") or agent_id


def _header(stop: Stop, mesh_id: str, agent_id: str, problems: list[str]) -> EnvelopeHeader | None:
    if not stop.header:
        return None
    try:
        header = verify_header(stop.header, mesh_id=mesh_id, destination=None, source=None).header
    except (AuthenticationError, ForbiddenError) as error:
        problems.append(f"what the source signed does not hold: {error}")
        return None
    if header.agent_id != agent_id:
        problems.append(f"what the source signed is about paglet {header.agent_id}")
        return None
    return header


def _receipt(
    stop: Stop, mesh_id: str, agent_id: str, header: EnvelopeHeader | None, problems: list[str]
) -> Verdict | None:
    try:
        found = read_verdict(stop.receipt, mesh_id=mesh_id, target=header.destination if header else None)
    except (AuthenticationError, ForbiddenError) as error:
        problems.append(f"the receipt does not hold: {error}")
        return None
    verdict = found.verdict
    if verdict.outcome is not Outcome.ARRIVED or verdict.agent_id != agent_id:
        problems.append("the receipt is none for this paglet")
        return None
    about = (header.transfer_id, header.incarnation) if header else None
    if about is not None and about != (verdict.transfer_id, verdict.incarnation):
        problems.append("the receipt is for another move than the one that the source signed")
        return None
    return verdict


def _link(header: EnvelopeHeader, before: Stop | None, problems: list[str]) -> Link:
    if before is None and header.previous_receipt:
        return "cut-off"
    if before is None:
        if header.birth == header.source:
            return "birth"
        problems.append(f"no receipt shows how it came to its source, and it was born at {header.birth}")
        return "broken"
    try:
        verify_previous_receipt(header, before.receipt.encode("utf-8", "replace"))
    except (AuthenticationError, ForbiddenError) as error:
        problems.append(f"it does not follow on the stop before: {error}")
        return "broken"
    return "verified"


def verify_previous_receipt(header: EnvelopeHeader, receipt: bytes) -> Verdict | None:
    """The receipt that a verified header names; None when it names none and there is none.

    Raises:
        FrameError: the receipt is malformed, altered or badly signed.
        MisdirectedFrameError: it is not the one that the header names, or not a receipt of the header's
            source for this paglet (for a clone: for its original) before this move.
    """
    if receipt_digest(receipt) != header.previous_receipt:
        raise MisdirectedFrameError("a receipt is not the one that the envelope's header names")
    if not receipt:
        return None
    verdict = read_verdict(receipt, mesh_id=header.mesh_id, target=header.source).verdict
    if verdict.outcome is not Outcome.ARRIVED:
        raise MisdirectedFrameError("a verdict that fenced a transfer is no receipt")
    if verdict.agent_id != (header.clone_of or header.agent_id):
        raise MisdirectedFrameError("a receipt is for another paglet")
    if not header.clone_of and not verdict.incarnation < header.incarnation:
        raise MisdirectedFrameError("a receipt is of a later life than the move that names it")
    return verdict
