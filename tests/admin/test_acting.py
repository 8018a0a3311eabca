"""An operator creates, moves, parks and ends paglets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    NotHandledError,
    PagletInactiveError,
    RemoteHostError,
    SerializationError,
    TransferError,
)
from paglets.core.messages import Message
from tests.admin.conftest import DOWN
from tests.host.agents import Notes
from tests.host.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.remote.admin import AgentRecord, PagletsAdminClient
    from tests.host.support import Pair

RECORDER = "tests.host.agents:Recorder"
NOTES = "tests.host.agents:Notes"


@pytest.fixture
def place(admin: PagletsAdminClient) -> Iterator[dict[str, str]]:
    """A recorder on the first host; disposed of wherever it is in the end."""
    made = admin.create_agent("first", RECORDER, NOTES, {"count": 2}, init={"who": "me"})
    yield made
    for record in admin.list_agents_all():
        if record.agent_id == made["agent_id"]:
            admin.dispose(record)


def record_of(admin: PagletsAdminClient, agent_id: str) -> AgentRecord:
    (record,) = [each for each in admin.list_agents_all() if each.agent_id == agent_id]
    return record


def count_of(admin: PagletsAdminClient, agent: Any) -> int:
    return admin.get_agent_state(agent)["state"]["count"]


def test_create_gives_the_place(pair: Pair, admin: PagletsAdminClient, place: dict[str, str]) -> None:
    assert place.keys() == {"host_url", "agent_id"}
    assert place["host_url"] == pair.a.address
    state = admin.get_agent_state(place)["state"]
    assert state["count"] == 2
    assert state["init"] == {"who": "me"}


def test_states_are_given_as_fields_or_as_a_dataclass_or_not_at_all(admin: PagletsAdminClient) -> None:
    for state, count in ((Notes(count=5), 5), ({"count": 6}, 6), (None, 0), ({}, 0)):
        made = admin.create_agent("second", RECORDER, "", state)
        assert count_of(admin, made) == count
        admin.dispose(made)


def test_what_cannot_be_created(admin: PagletsAdminClient) -> None:
    with pytest.raises(InvalidAgentError, match="nobody_has_this"):
        admin.create_agent("first", "nobody_has_this:Agent", "")
    with pytest.raises(InvalidAgentError, match="no subclass of Paglet"):
        admin.create_agent("first", NOTES, NOTES)
    with pytest.raises(InvalidAgentError, match="is no state of"):
        admin.create_agent("first", RECORDER, "tests.host.agents:Strict")
    with pytest.raises(SerializationError, match="count"):
        admin.create_agent("first", RECORDER, NOTES, {"count": "many"})
    with pytest.raises(HostError, match="mapping of its fields"):
        admin.create_agent("first", RECORDER, NOTES, [1])
    with pytest.raises(SerializationError):
        admin.create_agent("first", RECORDER, NOTES, {"count": object()})
    with pytest.raises(RemoteHostError, match="connection refused"):
        admin.create_agent("down", RECORDER, NOTES)
    with pytest.raises(HostError, match="no server called"):
        admin.create_agent("nowhere", RECORDER, NOTES)


def test_messages_get_replies_or_are_only_left(admin: PagletsAdminClient, place: dict[str, str]) -> None:
    record = record_of(admin, place["agent_id"])
    assert admin.send(record, Message("add", {"by": 3})) == 5
    assert admin.send(record, Message("add", {"by": 1}), oneway=True) is None
    eventually(lambda: count_of(admin, record) == 6)
    with pytest.raises(NotHandledError):
        admin.send(record, Message("sing"))
    with pytest.raises(InvalidAgentError):
        admin.send({**place, "agent_id": "nobody"}, Message("add"))
    with pytest.raises(SerializationError):
        admin.send({"agent_id": "x"}, Message("add"))


def test_parked_and_woken(admin: PagletsAdminClient, place: dict[str, str]) -> None:
    assert admin.deactivate(place) == place
    assert not record_of(admin, place["agent_id"]).active
    with pytest.raises(PagletInactiveError):
        admin.send(place, Message("add"), no_delay=True)
    assert admin.activate(place) == place
    assert record_of(admin, place["agent_id"]).active
    admin.deactivate(place)
    assert admin.send(place, Message("add", {"by": 1})) == 3


def test_moved_there_and_back(pair: Pair, admin: PagletsAdminClient, place: dict[str, str]) -> None:
    there = admin.dispatch(place, pair.b.address)
    assert there == {"host_url": pair.b.address, "agent_id": place["agent_id"]}
    assert record_of(admin, place["agent_id"]).server_name == "second"
    assert admin.dispatch(there, "a") == place
    with pytest.raises(TransferError):
        admin.dispatch(place, DOWN)
    assert count_of(admin, place) == 2


def test_retract_brings_it_to_the_target(
    pair: Pair, admin: PagletsAdminClient, place: dict[str, str]
) -> None:
    there = admin.retract(record_of(admin, place["agent_id"]), pair.b.address)
    assert there == {"host_url": pair.b.address, "agent_id": place["agent_id"]}
    assert admin.retract(there, "first") == place
    assert admin.retract(place, "b") == there
    with pytest.raises(HostError, match="no host called 'elsewhere' is known"):
        admin.retract(there, "elsewhere")
    with pytest.raises(RemoteHostError, match="connection refused"):
        admin.retract(there, DOWN)
    with pytest.raises(InvalidAgentError):
        admin.retract({**there, "agent_id": "nobody"}, pair.a.address)
    assert count_of(admin, there) == 2


def test_copies_beside_it_and_elsewhere(pair: Pair, admin: PagletsAdminClient, place: dict[str, str]) -> None:
    beside, elsewhere = admin.clone(place), admin.clone(place, pair.b.address)
    assert (beside["host_url"], elsewhere["host_url"]) == (pair.a.address, pair.b.address)
    assert len({place["agent_id"], beside["agent_id"], elsewhere["agent_id"]}) == 3
    for copy in (beside, elsewhere):
        assert count_of(admin, copy) == 2
        admin.dispose(copy)
        with pytest.raises(InvalidAgentError):
            admin.get_agent_info(copy)
