"""A whole passport: what holds, what was cut off, and what somebody has tampered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import HookKind, MoveKind, Outcome, VerdictRecord
from paglets.remote.envelopes.header import FileEntry, sign_header
from paglets.remote.envelopes.passport import Passport, check_passport
from paglets.remote.envelopes.stops import (
    MAX_PASSPORT_BYTES,
    MAX_STOPS,
    Stop,
    add_stop,
    decode_stops,
    encode_stops,
)
from paglets.remote.envelopes.trailer import sign_trailer, verify_trailer
from paglets.remote.envelopes.verdicts import receipt_digest, sign_verdict
from paglets.remote.trust.errors import MalformedFrameError
from paglets.remote.trust.keys import HostKey
from tests.envelopes.parts import MESH, make_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.remote.envelopes.header import EnvelopeHeader

HOSTS = [HostKey.generate() for _ in range(3)]
AGENT = "surveyor-1"


def move(
    stops: Sequence[Stop], number: int, *, receipt_by: HostKey | None = None, **changes: Any
) -> tuple[Stop, ...]:
    """One more move of a paglet that goes round."""
    source, target = HOSTS[number % 3], HOSTS[(number + 1) % 3]
    before = stops[-1].receipt.encode() if stops else b""
    header: EnvelopeHeader = msgspec.structs.replace(
        make_header(source=source, target=target.host_id, counter=number + 1),
        incarnation=Incarnation(epoch=number + 2),
        birth=HOSTS[0].host_id,
        previous_receipt=receipt_digest(before),
        **changes,
    )
    return add_stop(stops, sign_header(source, header).encode(), receipt(header, receipt_by or target))


def receipt(header: EnvelopeHeader, by: HostKey, outcome: Outcome = Outcome.ARRIVED) -> bytes:
    record = VerdictRecord(header.transfer_id, header.agent_id, header.incarnation, outcome)
    return sign_verdict(by, header.mesh_id, record).encode()


def journey(moves: int) -> tuple[Stop, ...]:
    stops: tuple[Stop, ...] = ()
    for number in range(moves):
        stops = move(stops, number)
    return stops


def check(stops: Sequence[Stop], **given: Any) -> Passport:
    return check_passport(stops, **{"mesh_id": MESH, "agent_id": AGENT, **given})


THREE = journey(3)


def test_a_journey_is_verified_back_to_where_it_began() -> None:
    passport = check(THREE, receipt=THREE[-1].receipt)
    assert (passport.fits, passport.complete) == (True, True)
    assert [hop.link for hop in passport.hops] == ["birth", "verified", "verified"]
    assert [(hop.source, hop.target) for hop in passport.hops] == [
        (HOSTS[n % 3].host_id, HOSTS[(n + 1) % 3].host_id) for n in range(3)
    ]
    assert [hop.epoch for hop in passport.hops] == [2, 3, 4]


def test_one_that_never_moved_has_none() -> None:
    passport = check(())
    assert (passport.hops, passport.fits, passport.complete) == ((), True, True)
    assert not check((), receipt="something").complete


def test_what_was_cut_off_is_said() -> None:
    passport = check(THREE[1:])
    assert (passport.fits, passport.complete) == (True, False)
    assert passport.hops[0].link == "cut-off"
    assert "before it is not" in passport.summary


def test_a_passport_is_bounded_however_far_a_paglet_goes() -> None:
    stops: tuple[Stop, ...] = ()
    for number in range(3 * MAX_STOPS):
        stops = move(stops, number)
        assert len(stops) <= MAX_STOPS
        assert sum(stop.size for stop in stops) <= MAX_PASSPORT_BYTES
    assert len(stops) > MAX_STOPS // 2
    passport = check(stops)
    assert (passport.fits, passport.complete) == (True, False)
    assert passport.hops[-1].epoch == 3 * MAX_STOPS + 1
    source = HOSTS[0]
    header = sign_header(source, make_header(source=source))
    trailer = sign_trailer(source, header, payload_size=1000, payload_digest=bytes(32), passport=stops)
    read = verify_trailer(trailer.encode(), header, payload_size=1000, payload_digest=bytes(32))
    assert tuple(read.passport) == stops


def test_a_header_that_is_too_large_is_left_out() -> None:
    entries = [FileEntry(name=f"{n:0200}", digest="0" * 64, size=1) for n in range(200)]
    stops = move(move(journey(1), 1, files=entries), 2)
    passport = check(stops, receipt=stops[-1].receipt)
    assert [hop.header for hop in passport.hops] == ["verified", "not-kept", "verified"]
    assert [hop.link for hop in passport.hops] == ["birth", "unknown", "verified"]
    assert (passport.fits, passport.complete) == (True, False)
    assert passport.hops[1].source == HOSTS[1].host_id


def test_frames_that_other_hosts_would_refuse_are_not_kept() -> None:
    """A source may sign what it wants; the paglet has to be able to leave again."""
    first = THREE[0]
    for odd in ("é", "\n", "\x00", "\ud800"):
        header = (first.header + odd).encode("utf-8", "surrogatepass")
        stops = add_stop((), header, first.receipt.encode())
        assert stops == (Stop(header="", receipt=first.receipt),)
        assert decode_stops(encode_stops(stops)) == stops


def test_a_clone_goes_on_where_its_original_was() -> None:
    original = journey(2)
    clone = move(
        original, 2, kind=MoveKind.CLONE, clone_of=AGENT, hook=HookKind.CLONE, agent_id="clone-1"
    )  # fmt: skip
    passport = check(clone, agent_id="clone-1")
    assert (passport.fits, passport.complete) == (True, True)
    assert [hop.agent_id for hop in passport.hops] == [AGENT, AGENT, "clone-1"]
    assert not check(clone).fits, "it is not the original's"


def broken_by(what: str) -> tuple[Sequence[Stop], dict[str, Any]]:
    first, second, third = THREE
    elsewhere = journey(3)
    stranger = move((first,), 1, receipt_by=HostKey.generate())[-1]
    fenced_header = msgspec.structs.replace(
        make_header(source=HOSTS[0], target=HOSTS[1].host_id), birth=HOSTS[0].host_id
    )
    fenced = Stop(
        header=sign_header(HOSTS[0], fenced_header).encode().decode(),
        receipt=receipt(fenced_header, HOSTS[1], Outcome.FENCED).decode(),
    )
    other_move = VerdictRecord(TransferId(HOSTS[1].host_id, 99), AGENT, Incarnation(epoch=3), Outcome.ARRIVED)
    cases: dict[str, tuple[tuple[Stop, ...], dict[str, Any]]] = {
        "a stop left out": ((first, third), {}),
        "a stop put in": ((first, second, second, third), {}),
        "stops in another order": ((second, first, third), {}),
        "a stop of another journey": ((elsewhere[0], move((), 1)[0], third), {}),
        "a receipt by another host": ((first, stranger), {}),
        "a receipt for another move": (
            (
                first,
                Stop(
                    header=second.header, receipt=sign_verdict(HOSTS[2], MESH, other_move).encode().decode()
                ),
            ),
            {},
        ),
        "a fence instead of a receipt": ((fenced,), {}),
        "the last stop taken off": ((first, second), {"receipt": third.receipt}),
        "another paglet's": (THREE, {"agent_id": "surveyor-2"}),
        "another mesh's": (THREE, {"mesh_id": HostKey.generate().host_id}),
        "born elsewhere": (move((), 1), {}),
        "a header that is none": ((Stop(header="{}", receipt=first.receipt),), {}),
        "a receipt that is none": ((Stop(header=first.header, receipt=""),), {}),
    }
    return cases[what]


@pytest.mark.parametrize(
    "what",
    [
        "a stop left out",
        "a stop put in",
        "stops in another order",
        "a stop of another journey",
        "a receipt by another host",
        "a receipt for another move",
        "a fence instead of a receipt",
        "the last stop taken off",
        "another paglet's",
        "another mesh's",
        "born elsewhere",
        "a header that is none",
        "a receipt that is none",
    ],
)
def test_what_does_not_fit_is_said(what: str) -> None:
    stops, given = broken_by(what)
    passport = check(stops, **given)
    assert not passport.fits
    assert not passport.complete
    assert passport.problems or any(hop.problems for hop in passport.hops)
    assert "do not go by it" in passport.summary


@given(st.data())
def test_no_changed_character_goes_unnoticed(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 2))
    part = data.draw(st.sampled_from(["header", "receipt"]))
    text = getattr(THREE[number], part)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from('0a{}"x\x00é').filter(lambda each: each != text[at]))
    changed = msgspec.structs.replace(THREE[number], **{part: text[:at] + other + text[at + 1 :]})
    stops = (*THREE[:number], changed, *THREE[number + 1 :])
    assert not check(stops, receipt=THREE[-1].receipt).fits


def test_a_passport_is_stored_as_it_is() -> None:
    assert decode_stops(encode_stops(THREE)) == THREE
    for bad in (b"", b"{}", b"[1]", encode_stops(THREE)[:-1], b'[{"header":"","receipt":"","more":1}]'):
        with pytest.raises(MalformedFrameError):
            decode_stops(bad)
