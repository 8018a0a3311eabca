"""Transfer tickets: terms that make sense, and nothing else."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import SerializationError
from paglets.core.runtime_values import ArrivalMode
from paglets.remote.transfer import TransferTicket

tickets = st.builds(
    TransferTicket,
    destination=st.text(min_size=1).filter(str.strip),
    timeout=st.floats(min_value=0.001, max_value=86400) | st.integers(1, 1000),
    retries=st.integers(0, 10),
    retry_interval=st.floats(min_value=0, max_value=1e3),
    required_capabilities=st.lists(st.text()),
    expected_code_version=st.none() | st.text(),
    arrival_mode=st.sampled_from(ArrivalMode),
    queue=st.booleans(),
)


@given(tickets)
def test_tickets_survive_the_way(ticket: TransferTicket) -> None:
    assert TransferTicket.from_wire(json.loads(json.dumps(ticket.to_wire()))) == ticket
    assert TransferTicket.from_target(ticket) is ticket


def test_a_target_is_a_ticket_on_default_terms() -> None:
    ticket = TransferTicket.from_target("there")
    assert (ticket.destination, ticket.timeout, ticket.retries, ticket.retry_interval) == (
        "there",
        10.0,
        0,
        0.25,
    )
    assert (ticket.required_capabilities, ticket.expected_code_version) == ((), None)
    assert (ticket.arrival_mode, ticket.queue) == (ArrivalMode.ACTIVATE, False)


@pytest.mark.parametrize(
    ("terms", "kind"),
    [
        ({"destination": ""}, ValueError),
        ({"destination": "  "}, ValueError),
        ({"destination": None}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": math.inf}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "10"}, TypeError),
        ({"timeout": True}, TypeError),
        ({"timeout": 10**400}, ValueError),
        ({"retries": -1}, ValueError),
        ({"retries": 10**9}, ValueError),
        ({"retries": 1.5}, TypeError),
        ({"retry_interval": -0.1}, ValueError),
        ({"required_capabilities": "agents:create"}, TypeError),
        ({"required_capabilities": (1,)}, TypeError),
        ({"expected_code_version": 1}, TypeError),
        ({"arrival_mode": "activate"}, TypeError),
        ({"queue": 1}, TypeError),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_name(terms: dict[str, Any], kind: type[Exception]) -> None:
    merged: dict[str, Any] = {"destination": "there", **terms}
    with pytest.raises(kind, match=next(iter(terms))):
        TransferTicket(**merged)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*TransferTicket("x").to_wire(), "more"]), json_values) | json_values)
def test_every_payload_is_a_ticket_or_refused(payload: Any) -> None:
    try:
        ticket = TransferTicket.from_wire(payload)
    except SerializationError:
        return
    assert TransferTicket.from_wire(ticket.to_wire()) == ticket


def test_a_bad_mode_on_the_wire_names_the_possible_ones() -> None:
    with pytest.raises(SerializationError, match="must be one of: activate, inactive"):
        TransferTicket.from_wire({"destination": "x", "arrival_mode": "fly"})
