from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paglets.core.errors import AuthenticationError, ForbiddenError
from paglets.core.incarnation import Incarnation, Lineage, TransferId
from paglets.persistence.records import HookKind, MoveKind
from paglets.remote.envelopes.header import (
    ENVELOPE_LABEL,
    MAX_HEADER_BYTES,
    EnvelopeHeader,
    FileEntry,
    InactiveEntry,
    SignedHeader,
    sign_header,
    verify_header,
)
from paglets.remote.trust.errors import (
    BadSignatureError,
    FrameError,
    MalformedFrameError,
    MisdirectedFrameError,
)
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.signed_frames import seal_frame
from tests.envelopes.parts import MESH, SOURCE, TARGET, make_header


def arrive(
    data: bytes | str, *, mesh: str = MESH, at: str = TARGET.host_id, by: str = SOURCE.host_id
) -> SignedHeader:
    return verify_header(data, mesh_id=mesh, destination=at, source=by)


def signed(text: str) -> bytes:
    """A header frame with a right signature over whatever text."""
    return seal_frame(SOURCE, ENVELOPE_LABEL, text.encode()).encode()


def rewritten(**changes: object) -> bytes:
    """A header frame with a right signature over what nobody should have signed."""
    return signed(json.dumps(json.loads(msgspec.json.encode(make_header())) | changes))


# --- what is right ---------------------------------------------------------------------------------------


def test_a_header_arrives_as_it_was_signed() -> None:
    sent = sign_header(SOURCE, make_header())
    assert arrive(sent.encode()) == sent
    assert arrive(sent.encode().decode()).digest == sent.digest


def test_the_extras_of_clones_files_and_parked_paglets_travel() -> None:
    changes: dict[str, Any] = {
        "kind": MoveKind.CLONE,
        "clone_of": "surveyor-0",
        "hook": HookKind.CLONE,
        "event": {"reason": "dispatch", "deep": [1, {"a": None}]},
        "inactive": InactiveEntry(policy={"activate_on_message": False}, request={"reason": "rest"}),
        "files": [FileEntry(name="report.csv", digest="ab" * 32, size=10)],
        "previous_receipt": "cd" * 32,
        "incarnation": Incarnation(Lineage(2, TARGET.host_id), 9),
        "source_name": "Küche \U0001f373",
    }
    sent = sign_header(SOURCE, msgspec.structs.replace(make_header(), **changes))
    assert sent.encode().isascii()
    assert arrive(sent.encode()).header == sent.header


def test_tools_may_read_stored_headers_without_being_their_target() -> None:
    sent = sign_header(SOURCE, make_header())
    assert verify_header(sent.encode(), mesh_id=MESH, destination=None, source=None) == sent


# --- altered, cut, badly signed --------------------------------------------------------------------------


def test_every_changed_bit_is_refused() -> None:
    frame = sign_header(SOURCE, make_header()).encode()
    for bit in range(8 * len(frame)):
        changed = bytearray(frame)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((FrameError, MisdirectedFrameError)):
            arrive(bytes(changed))


def test_every_cut_is_refused() -> None:
    frame = sign_header(SOURCE, make_header()).encode()
    for cut in range(len(frame)):
        with pytest.raises(FrameError):
            arrive(frame[:cut])


@given(st.binary(max_size=400))
def test_garbage_is_refused_with_the_documented_error(data: bytes) -> None:
    for frame in (data, seal_frame(SOURCE, ENVELOPE_LABEL, data or b"x").encode()):
        with pytest.raises(FrameError):
            arrive(frame)
    assert issubclass(FrameError, AuthenticationError)


def test_a_signature_for_another_purpose_is_refused() -> None:
    body = sign_header(SOURCE, make_header()).frame.body
    with pytest.raises(BadSignatureError):
        arrive(seal_frame(SOURCE, b"paglets-envelope-trailer-v1\0", body).encode())


# --- genuine, but not for here ---------------------------------------------------------------------------


def test_an_envelope_for_another_host_is_refused() -> None:
    third = HostKey.generate()
    with pytest.raises(MisdirectedFrameError, match="not for this host"):
        arrive(sign_header(SOURCE, make_header()).encode(), at=third.host_id)
    assert issubclass(MisdirectedFrameError, ForbiddenError)


def test_an_envelope_of_another_mesh_is_refused() -> None:
    with pytest.raises(MisdirectedFrameError, match="another mesh"):
        arrive(sign_header(SOURCE, make_header()).encode(), mesh=HostKey.generate().host_id)


def test_an_envelope_over_somebody_elses_connection_is_refused() -> None:
    replayer = HostKey.generate()
    with pytest.raises(MisdirectedFrameError, match="over a connection of"):
        arrive(sign_header(SOURCE, make_header()).encode(), by=replayer.host_id)


def test_nobody_signs_for_another_source() -> None:
    mallory = HostKey.generate()
    frame = seal_frame(mallory, ENVELOPE_LABEL, msgspec.json.encode(make_header())).encode()
    with pytest.raises(MisdirectedFrameError):
        arrive(frame)
    with pytest.raises(MisdirectedFrameError, match="another source"):
        arrive(frame, by=mallory.host_id)
    with pytest.raises(MalformedFrameError):
        sign_header(mallory, make_header())


# --- signed by a member that misbehaves ------------------------------------------------------------------


def test_doubled_fields_are_refused() -> None:
    text = msgspec.json.encode(make_header()).decode()
    outer = text[:-1] + f',"destination":"{TARGET.host_id}"}}'
    nested = text.replace('"timeout":10.0', '"timeout":10.0,"timeout":99.0')
    for doubled in (outer, nested):
        assert doubled != text
        with pytest.raises(MalformedFrameError, match="twice"):
            arrive(signed(doubled))


@pytest.mark.parametrize("name", EnvelopeHeader.__struct_fields__)
def test_every_field_has_to_be_there(name: str) -> None:
    fields = json.loads(msgspec.json.encode(make_header()))
    del fields[name]
    frame = seal_frame(SOURCE, ENVELOPE_LABEL, json.dumps(fields).encode()).encode()
    with pytest.raises(MalformedFrameError, match=f"lacks the field '{name}'"):
        arrive(frame)


OTHER = HostKey.generate().host_id
HOSTILE: list[tuple[str, object]] = [
    ("unknown", 1),
    ("protocol", 2),
    ("protocol", "1"),
    ("mesh_id", ""),
    ("kind", "adopt"),
    ("transfer_id", [OTHER, 7]),
    ("transfer_id", [SOURCE.host_id, 0]),
    ("transfer_id", [SOURCE.host_id, -1]),
    ("transfer_id", [SOURCE.host_id]),
    ("transfer_id", [SOURCE.host_id, 7, "more"]),
    ("transfer_id", [SOURCE.host_id, 2**70]),
    ("agent_id", ""),
    ("agent_id", " padded"),
    ("agent_id", "x" * 257),
    ("agent_id", "two\nlines"),
    ("agent_id", "right\u202eto-left"),
    ("agent_id", "zero\u200bwidth"),
    ("agent_id", "nul\0"),
    ("agent_id", "\ud800"),
    ("agent_id", 5),
    ("birth", "nowhere"),
    ("incarnation", []),
    ("incarnation", [[0, ""], 0]),
    ("incarnation", [[0, ""], -3]),
    ("incarnation", [[1, ""], 2]),
    ("incarnation", [[0, OTHER], 2]),
    ("incarnation", [[-1, OTHER], 2]),
    ("incarnation", [[1, "nobody"], 2]),
    ("incarnation", [[0, ""], 1.5]),
    ("source", OTHER),
    ("source", SOURCE.host_id.upper()),
    ("destination", SOURCE.host_id),
    ("destination", OTHER),
    ("class_name", "os.system"),
    ("class_name", "os:system()"),
    ("class_name", "../etc:Passwd"),
    ("class_name", "a:b:c"),
    ("class_name", ":"),
    ("state_class_name", ""),
    ("code_version", "v" * 300),
    ("payload_size", -1),
    ("payload_size", 2**60),
    ("payload_size", "1000"),
    ("payload_size", None),
    ("artifacts", [{"name": "a", "digest": "ab" * 32, "size": 1, "more": 1}]),
    ("artifacts", [{"name": "a", "digest": "AB" * 32, "size": 1}]),
    ("artifacts", [{"name": "a", "digest": "ab" * 32 + "\n", "size": 1}]),
    ("files", [{"name": "a", "digest": "ab" * 32, "size": 1}] * 1025),
    ("ticket", []),
    ("ticket", {"deep": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}),
    ("previous_receipt", "xyz"),
    ("sent_at", "now"),
    ("source_url", "https://x/\u2028y"),
    ("clone_of", "surveyor-0"),
    ("hook", "destruction"),
    ("event", None),
    ("inactive", {}),
    ("inactive", {"policy": {}}),
]


@pytest.mark.parametrize(
    ("name", "value"), HOSTILE, ids=[f"{name}-{number}" for number, (name, _) in enumerate(HOSTILE)]
)
def test_a_field_that_is_not_what_it_must_be_is_refused(name: str, value: object) -> None:
    with pytest.raises((MalformedFrameError, MisdirectedFrameError)):
        arrive(rewritten(**{name: value}))


def test_a_header_over_its_bound_is_refused_at_both_ends() -> None:
    huge = msgspec.structs.replace(make_header(), ticket={"x": "y" * MAX_HEADER_BYTES})
    with pytest.raises(MalformedFrameError, match="bound"):
        sign_header(SOURCE, huge)
    with pytest.raises(MalformedFrameError, match="bound"):
        arrive(seal_frame(SOURCE, ENVELOPE_LABEL, msgspec.json.encode(huge)).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"ticket": {"x": object()}},
        {"ticket": {"x": float("nan")}, "sent_at": float("nan")},
        {"ticket": {"x": 2**80}},
        {"event": {"x": "\ud800"}},
        {"agent_id": ""},
        {"transfer_id": TransferId(TARGET.host_id, 1)},
    ],
)  # fmt: skip
def test_a_source_does_not_sign_what_its_target_would_refuse(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedFrameError):
        sign_header(SOURCE, msgspec.structs.replace(make_header(), **changes))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e300, 1e300)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.sampled_from(EnvelopeHeader.__struct_fields__), json_values)
def test_whatever_a_member_signs_is_a_header_or_refused(name: str, value: object) -> None:
    with contextlib.suppress(MalformedFrameError, MisdirectedFrameError):
        found = arrive(rewritten(**{name: value}))
        # What was accepted can be said again and means the same.
        assert arrive(sign_header(SOURCE, found.header).encode()).header == found.header
