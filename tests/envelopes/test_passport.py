from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import HookKind, MoveKind, Outcome, VerdictRecord
from paglets.remote.envelopes.passport import verify_previous_receipt
from paglets.remote.envelopes.verdicts import receipt_digest, sign_verdict
from paglets.remote.trust.errors import FrameError, MisdirectedFrameError
from paglets.remote.trust.keys import HostKey
from tests.envelopes.parts import MESH, SOURCE, make_header

if TYPE_CHECKING:
    from paglets.remote.envelopes.header import EnvelopeHeader

BIRTHPLACE = HostKey.generate()


def receipt(
    *, by: HostKey = SOURCE, agent_id: str = "surveyor-1", epoch: int = 2, outcome: Outcome = Outcome.ARRIVED
) -> bytes:
    """What the source signed when the paglet came to it from where it was born."""
    record = VerdictRecord(TransferId(BIRTHPLACE.host_id, 1), agent_id, Incarnation(epoch=epoch), outcome)
    return sign_verdict(by, MESH, record).encode()


def header(previous: bytes, **changes: Any) -> EnvelopeHeader:
    return msgspec.structs.replace(make_header(), previous_receipt=receipt_digest(previous), **changes)


def test_a_header_names_the_receipt_by_which_the_paglet_came() -> None:
    verdict = verify_previous_receipt(header(receipt()), receipt())
    assert verdict is not None
    assert (verdict.source, verdict.target) == (BIRTHPLACE.host_id, SOURCE.host_id)


def test_where_a_paglet_was_born_there_is_none() -> None:
    assert verify_previous_receipt(header(b""), b"") is None


def test_a_clone_names_its_originals() -> None:
    clone = header(
        receipt(agent_id="original"), kind=MoveKind.CLONE, clone_of="original", hook=HookKind.CLONE,
        agent_id="clone", incarnation=Incarnation(epoch=1),
    )  # fmt: skip
    assert verify_previous_receipt(clone, receipt(agent_id="original")) is not None


@pytest.mark.parametrize(
    "other",
    [
        receipt(by=HostKey.generate()),
        receipt(agent_id="surveyor-2"),
        receipt(epoch=3),
        receipt(epoch=9),
        receipt(outcome=Outcome.FENCED),
    ],
)
def test_what_is_no_receipt_of_this_journey_is_refused(other: bytes) -> None:
    with pytest.raises(MisdirectedFrameError):
        verify_previous_receipt(header(other), other)


def test_a_stop_can_neither_be_left_out_nor_put_in() -> None:
    with pytest.raises(MisdirectedFrameError):
        verify_previous_receipt(header(receipt()), b"")
    with pytest.raises(MisdirectedFrameError):
        verify_previous_receipt(header(b""), receipt())
    altered = receipt().replace(b"surveyor-1", b"surveyor-9")
    with pytest.raises(FrameError):
        verify_previous_receipt(header(altered), altered)
