from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import SerializationError
from paglets.core.itinerary import (
    EXECUTE_ON_DEFAULT,
    EXECUTE_ON_DISPATCH,
    ItineraryPlan,
    ItineraryTask,
    TaskItineraryPlan,
)
from paglets.core.messages import Message
from paglets.remote.api import PAGLETS_STATE, PagletParams
from paglets.runtime.child_specs import MAX_STATE_TEXT
from tests.host.agents import Recorder
from tests.host.agents_with_states import (
    Carrier,
    Everything,
    Friend,
    Friends,
    TaskTravels,
    Tourist,
    Travels,
    Worker,
)
from tests.host.support import ask, eventually

if TYPE_CHECKING:
    from paglets.runtime.host import Host


def test_values_of_every_type_travel(a: Host, b: Host) -> None:
    proxy = a.create(Carrier)
    assert ask(proxy, "changed") == []
    proxy.dispatch("b")
    assert ask(proxy, "changed") == []
    proxy.deactivate()
    proxy.dispatch("a")
    proxy.activate()
    assert ask(proxy, "changed") == []
    clone = proxy.clone()
    assert ask(clone, "changed") == []
    state = Everything(anything=1)
    assert ask(a.create(Carrier, state), "changed") == ["anything"]


def test_values_of_every_type_are_created_from_afar(a: Host, b: Host) -> None:
    state = Everything(infinite=1.0)
    assert ask(a.create_remote("b", Carrier, state), "changed") == ["infinite"]


def test_the_state_can_be_had_as_a_value(a: Host) -> None:
    proxy = a.create(Carrier, Everything(infinite=2.5))
    assert a.get_state(proxy.agent_id, Everything) == Everything(infinite=2.5)
    proxy.deactivate()
    assert a.get_state(proxy.agent_id, Everything) == Everything(infinite=2.5)


def filled(size: int) -> Everything:
    return Everything(anything=b"s" * size, infinite=0.5)


def test_a_large_state_can_be_had(a: Host, b: Host) -> None:
    state = filled(16_000_000)
    proxy = a.create(Carrier, state)
    for parked in (False, True):
        if parked:
            proxy.deactivate()
        assert a.get_state(proxy.agent_id, Everything) == state
        path = f"{a.address}/agents/{proxy.agent_id}/state"
        assert len(b.client.get_json(path, timeout=30)["state"]["anything"]) == 16_000_000
        with pytest.raises(SerializationError, match=r"213\d+ bytes as JSON.* 8323072 .*GET /agents"):
            b.client.call(a.address, PAGLETS_STATE, PagletParams(proxy.agent_id), timeout=30)
    proxy.dispose()


@pytest.mark.slow
def test_the_program_itself_reads_more_than_others(a: Host, b: Host) -> None:
    state = filled(64_000_000)
    proxy = a.create(Carrier, state)
    for parked in (False, True):
        if parked:
            proxy.deactivate()
        assert a.get_state(proxy.agent_id, Everything) == state
        with pytest.raises(SerializationError, match=r"853\d+ bytes as JSON.* 67107840 .*Host.get_state"):
            b.client.get_json(f"{a.address}/agents/{proxy.agent_id}/state", timeout=30)
    proxy.dispose()


@pytest.mark.slow
def test_a_state_over_the_bound_says_so(a: Host) -> None:
    proxy = a.create(Carrier, filled(MAX_STATE_TEXT // 4 * 3 + 1))
    for parked in (False, True):
        if parked:
            proxy.deactivate()
        with pytest.raises(
            SerializationError, match=rf"134\d+ bytes as JSON, over the bound of {MAX_STATE_TEXT}"
        ):
            a.get_state(proxy.agent_id, Everything)
    proxy.dispose()


def test_handles_to_others_travel(a: Host, b: Host) -> None:
    other, friend = a.create(Recorder), a.create(Friend)
    assert friend.send(Message("meet", other.to_wire())) == other.to_wire()
    for place in ("a", "b", "a"):
        friend.dispatch(place)
        assert ask(friend, "ask-ref") == "a"
        assert ask(friend, "ask-proxy") == "a"
        assert ask(friend, "ask-others") == ["a"]
    other.dispatch("b")
    assert ask(friend, "ask-proxy") == "b"
    known = a.get_state(friend.agent_id, Friends)
    assert known.proxy is not None
    assert known.proxy.agent_id == other.agent_id
    assert a.create(Friend, Friends(proxy=other, ref=other.ref())).send(Message("ask-proxy")) == "b"


def test_proxies_in_messages(a: Host) -> None:
    other, friend = a.create(Recorder), a.create(Friend)
    assert friend.send(Message("ask-arg", {"who": other})) == "a"


# --- itineraries ------------------------------------------------------------------------------------------


def test_a_plan_is_followed_to_its_end(a: Host, b: Host) -> None:
    plan = ItineraryPlan(destinations=["b", a.address, "b", "a"])
    proxy = a.create(Tourist, Travels(plan))
    seen, completed, where = eventually(lambda: (answer := ask(proxy, "seen"))[1] and answer)
    assert seen == ["a:None", "b:b", f"a:{a.address}", "b:b", "a:a"]
    assert completed
    assert where == "a"


def test_tasks_are_done_where_they_belong(a: Host, b: Host) -> None:
    plan = TaskItineraryPlan(execute_default_on_dispatch=True)
    plan.add_default_task(ItineraryTask("look", EXECUTE_ON_DEFAULT))
    plan.add_next_destination_with_task("b", ItineraryTask("measure", args={"n": 1}))
    plan.add_next_destination_with_task("a", ItineraryTask("tell", EXECUTE_ON_DISPATCH, {"n": 2}))
    proxy = a.create(Worker, TaskTravels(plan))
    done, _ = eventually(lambda: (answer := ask(proxy, "done"))[1] and answer)
    assert done == [
        "look@a:dispatch:None", "look@b:arrival:None", "measure@b:arrival:1",
        "look@b:dispatch:None", "tell@b:dispatch:2", "look@a:arrival:None",
    ]  # fmt: skip
