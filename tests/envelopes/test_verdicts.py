from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.incarnation import Incarnation, Lineage, TransferId
from paglets.persistence.records import Outcome, VerdictRecord
from paglets.remote.envelopes.header import ENVELOPE_LABEL
from paglets.remote.envelopes.verdicts import (
    VERDICT_LABEL,
    SignedVerdict,
    VerdictAnswer,
    read_verdict,
    read_verdict_answer,
    receipt_digest,
    sign_verdict,
    verify_verdict,
)
from paglets.remote.trust.errors import (
    BadSignatureError,
    FrameError,
    MalformedFrameError,
    MisdirectedFrameError,
)
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.signed_frames import seal_frame
from paglets.remote.trust.strict_json import write_strict
from tests.envelopes.parts import MESH, SOURCE, TARGET

TRANSFER = TransferId(SOURCE.host_id, 7)
LIFE = Incarnation(epoch=3)


def record(outcome: Outcome = Outcome.ARRIVED, reason: str = "") -> VerdictRecord:
    return VerdictRecord(TRANSFER, "surveyor-1", LIFE, outcome, reason, 12.25)


def settle(data: bytes | str, **changes: Any) -> SignedVerdict:
    asked: dict[str, Any] = {
        "mesh_id": MESH,
        "target": TARGET.host_id,
        "transfer_id": TRANSFER,
        "agent_id": "surveyor-1",
        "incarnation": LIFE,
    }
    return verify_verdict(data, **(asked | changes))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_verdict_settles_the_transfer_it_is_on(outcome: Outcome) -> None:
    sent = sign_verdict(TARGET, MESH, record(outcome, "no room" if outcome is Outcome.FENCED else ""))
    found = settle(sent.encode())
    assert found == sent
    assert found.verdict.outcome is outcome
    assert (found.verdict.source, found.verdict.target) == (SOURCE.host_id, TARGET.host_id)


def test_asking_again_gives_the_same_bytes() -> None:
    assert sign_verdict(TARGET, MESH, record()).encode() == sign_verdict(TARGET, MESH, record()).encode()


def test_every_changed_bit_is_refused() -> None:
    frame = sign_verdict(TARGET, MESH, record(Outcome.FENCED, "no room")).encode()
    for bit in range(8 * len(frame)):
        changed = bytearray(frame)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((FrameError, MisdirectedFrameError)):
            settle(bytes(changed))


@pytest.mark.parametrize(
    "asked",
    [
        {"transfer_id": TransferId(SOURCE.host_id, 8)},
        {"transfer_id": TransferId(TARGET.host_id, 7)},
        {"agent_id": "surveyor-2"},
        {"incarnation": Incarnation(epoch=4)},
        {"incarnation": Incarnation(Lineage(1, TARGET.host_id), 3)},
        {"target": SOURCE.host_id},
        {"mesh_id": TARGET.host_id},
    ],
)
def test_a_verdict_on_anything_else_settles_nothing(asked: dict[str, Any]) -> None:
    with pytest.raises(MisdirectedFrameError):
        settle(sign_verdict(TARGET, MESH, record()).encode(), **asked)


def test_only_the_target_gives_its_verdict() -> None:
    mallory = HostKey.generate()
    with pytest.raises(MisdirectedFrameError):
        settle(sign_verdict(mallory, MESH, record()).encode())
    body = sign_verdict(TARGET, MESH, record()).frame.body
    with pytest.raises(MisdirectedFrameError):
        read_verdict(seal_frame(mallory, VERDICT_LABEL, body).encode(), mesh_id=MESH)
    with pytest.raises(BadSignatureError):
        settle(seal_frame(TARGET, ENVELOPE_LABEL, body).encode())


@given(st.text(max_size=3000))
def test_whatever_a_paglet_raised_its_fence_can_be_said(reason: str) -> None:
    sent = sign_verdict(TARGET, MESH, record(Outcome.FENCED, reason))
    assert sent.encode().isascii()
    found = settle(sent.encode().decode("ascii"))
    assert len(found.verdict.reason) <= 300
    assert found.verdict.reason.isprintable()
    answer = VerdictAnswer(verdict=sent.encode().decode("ascii"), store_id="s", commit=1).encode()
    assert read_verdict_answer(answer).verdict.encode() == sent.encode()


def test_a_reason_is_one_line_and_bounded() -> None:
    sent = sign_verdict(
        TARGET,
        MESH,
        record(Outcome.FENCED, " SerializationError:\n\tbad\x1b[2J \ud800 " + "\U0001f373" * 5000),
    )
    assert settle(sent.encode()).verdict.reason.startswith("SerializationError: bad [2J \U0001f373")


@given(st.binary(max_size=400))
def test_garbage_is_refused_with_the_documented_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        settle(data)
    with pytest.raises(FrameError):
        settle(seal_frame(TARGET, VERDICT_LABEL, data or b"x").encode())
    with pytest.raises(MalformedFrameError):
        read_verdict_answer(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": TARGET.host_id},
        {"source": "nobody"},
        {"target": SOURCE.host_id},
        {"transfer_id": TransferId(SOURCE.host_id, 0)},
        {"agent_id": "two\nlines"},
        {"reason": "two\nlines"},
        {"incarnation": Incarnation(epoch=0)},
    ],
)
def test_a_signed_verdict_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    verdict = msgspec.structs.replace(sign_verdict(TARGET, MESH, record()).verdict, **changes)
    with pytest.raises((MalformedFrameError, MisdirectedFrameError)):
        read_verdict(seal_frame(TARGET, VERDICT_LABEL, write_strict(verdict)).encode(), mesh_id=MESH)


def test_the_store_that_answers_is_named_beside() -> None:
    sent = sign_verdict(TARGET, MESH, record()).encode()
    answer = VerdictAnswer(verdict=sent.decode(), store_id="store-1", commit=42)
    assert read_verdict_answer(answer.encode()) == answer
    assert settle(read_verdict_answer(answer.encode()).verdict).verdict.outcome is Outcome.ARRIVED
    for spoilt in (
        answer.encode()[:-1] + b',"commit":43}',
        answer.encode().replace(b"42", b"-1"),
        answer.encode().replace(b',"commit":42', b""),
        b"x" * 1_000_000,
    ):
        with pytest.raises(MalformedFrameError):
            read_verdict_answer(spoilt)


def test_a_receipts_digest_is_that_of_its_bytes() -> None:
    sent = sign_verdict(TARGET, MESH, record()).encode()
    assert len(receipt_digest(sent)) == 64
    assert receipt_digest(b"") == ""
