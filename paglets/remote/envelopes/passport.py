"""A paglet's passport: receipts chained by digest, one for each time that a host took it in.

A header names the receipt by which the paglet came to the source of this move. So from the newest header
back, each receipt shows who had the paglet, signed by that host; nobody can leave out a stop or put one in
without the signatures of the hosts on both sides of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.records import Outcome
from paglets.remote.envelopes.verdicts import Verdict, read_verdict, receipt_digest
from paglets.remote.trust.errors import MisdirectedFrameError

if TYPE_CHECKING:
    from paglets.remote.envelopes.header import EnvelopeHeader


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
