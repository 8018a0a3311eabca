"""Envelopes as values, and the names that authors import from the runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from paglets.core.errors import SerializationError
from paglets.core.resources import ResourceRegistry as CoreRegistry
from paglets.core.runtime_values import EnvelopeKind
from paglets.runtime.envelope import PagletEnvelope
from paglets.runtime.resources import ResourceRegistry

ENVELOPE = PagletEnvelope(
    EnvelopeKind.CLONE,
    "id",
    "shop:Clerk",
    "shop:Till",
    b"\x80\x05",
    "here",
    "https://h:1",
    "there",
    "https://t:1",
    "old",
)


@pytest.mark.parametrize("state", [b"payload", bytearray(b"payload"), {"count": 3, "names": ["a"]}, None])
def test_an_envelope_survives_its_wire_form(state: object) -> None:
    envelope = replace(ENVELOPE, state=state, metadata={"why": "test"})
    assert PagletEnvelope.from_wire(envelope.to_wire()) == envelope


@pytest.mark.parametrize("name", ["kind", "agent_id", "state", "target_host_address"])
def test_a_missing_field_is_named(name: str) -> None:
    wire = ENVELOPE.to_wire()
    del wire[name]
    with pytest.raises(SerializationError, match=name):
        PagletEnvelope.from_wire(wire)


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "teleport"), ("kind", 3), ("agent_id", 7), ("metadata", [])]
)
def test_a_wrong_field_is_refused(name: str, value: object) -> None:
    with pytest.raises(SerializationError):
        PagletEnvelope.from_wire({**ENVELOPE.to_wire(), name: value})


def test_the_python_api_takes_members_only() -> None:
    with pytest.raises(TypeError):
        replace(ENVELOPE, kind=cast("Any", "clone"))


def test_the_registry_is_the_one_of_the_vocabulary() -> None:
    assert ResourceRegistry is CoreRegistry
