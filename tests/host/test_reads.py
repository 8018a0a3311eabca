"""The JSON reads, as any member of the mesh asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from paglets.core.errors import HostError, InvalidAgentError, RemoteHostError
from paglets.core.messages import Message
from paglets.remote import api
from paglets.remote.mesh import HostRef
from tests.host.agents import Notes, Recorder, Server
from tests.host.support import ask, eventually, read_all

if TYPE_CHECKING:
    from paglets.runtime.host import Host


@pytest.fixture(params=["itself", "the other"])
def reader(request: pytest.FixtureRequest, a: Host, b: Host) -> Host:
    """Who asks host a."""
    return a if request.param == "itself" else b


def test_health(reader: Host, a: Host) -> None:
    a.create(Recorder).deactivate()
    health = reader.client.get_json(a.address + "/health")
    assert health == a.health()
    assert set(health) >= {
        "name", "address", "active_count", "inactive_count", "code_version", "capabilities", "tags", "properties",
    }  # fmt: skip
    assert (health["name"], health["address"]) == ("a", a.address)
    assert {"agents:create", "agents:receive", "hosts:list"} <= set(health["capabilities"])
    assert health["inactive_count"] >= 1


def test_counts(a: Host) -> None:
    before = a.health()
    proxies = [a.create(Recorder) for _ in range(3)]
    proxies[0].deactivate()
    after = a.health()
    assert after["active_count"] == before["active_count"] + 2
    assert after["inactive_count"] == before["inactive_count"] + 1
    for proxy in proxies:
        proxy.dispose()
    assert (a.health()["active_count"], a.health()["inactive_count"]) == (
        before["active_count"],
        before["inactive_count"],
    )


def test_hosts(reader: Host, a: Host, b: Host) -> None:
    hosts = reader.client.get_json(a.address + "/hosts")["hosts"]
    by_name = {each["name"]: each for each in hosts}
    assert set(by_name) == {"a", "b"}
    fields = {
        "name", "url", "code_version", "online", "last_seen", "active_count", "inactive_count", "tags", "properties",
    }  # fmt: skip
    for host in hosts:
        assert set(host) == fields
        assert HostRef.from_wire(host).to_wire() == host
    assert by_name["b"]["url"] == b.address


def test_agents(reader: Host, a: Host) -> None:
    active, parked = a.create(Recorder), a.create(Recorder)
    parked.deactivate()

    def ids(state: str) -> set[str]:
        return {each["agent_id"] for each in read_all(reader, a.address, "agents", state)}

    assert active.agent_id in ids("active")
    assert parked.agent_id not in ids("active")
    assert parked.agent_id in ids("inactive")
    assert active.agent_id not in ids("inactive")
    assert {active.agent_id, parked.agent_id} <= ids("all")
    entry = next(
        each for each in read_all(reader, a.address, "agents", "all") if each["agent_id"] == active.agent_id
    )
    assert entry["class_name"] == "tests.host.agents:Recorder"
    assert entry["state_class_name"] == "tests.host.agents:Notes"
    assert entry["active"] is True
    assert "agents" in reader.client.get_json(a.address + "/agents")
    with pytest.raises((HostError, ValueError), match="state"):
        reader.client.get_json(a.address + "/agents?state=sleepy")


def test_one_agent(reader: Host, a: Host) -> None:
    proxy = a.create(Server)
    one = reader.client.get_json(f"{a.address}/agents/{proxy.agent_id}")
    assert (one["agent_id"], one["active"], one["crashed"], one["exitcode"]) == (
        proxy.agent_id,
        True,
        False,
        None,
    )
    assert one["pid"] == ask(proxy, "where")[2]
    with pytest.raises(Exception, match="ended"):
        proxy.send(Message("die"))
    one = reader.client.get_json(f"{a.address}/agents/{proxy.agent_id}")
    assert (one["active"], one["crashed"], one["exitcode"], one["pid"]) == (False, True, 6, None)


def test_states(reader: Host, a: Host) -> None:
    proxy = a.create(Recorder, Notes(count=7))
    ask(proxy, "log")
    path = f"{a.address}/agents/{proxy.agent_id}/state"
    expected = {"state": {"log": ["creation@a", "run@a"], "count": 7, "init": None}}
    assert reader.client.get_json(path) == expected
    proxy.deactivate()
    expected["state"]["log"] = ["creation@a", "run@a", "deactivating@a:deactivate"]
    assert reader.client.get_json(path) == expected


def test_unknown_ids(reader: Host, a: Host) -> None:
    for path in ("/agents/nobody", "/agents/nobody/state"):
        with pytest.raises(InvalidAgentError, match="nobody"):
            reader.client.get_json(a.address + path)


def test_events(reader: Host, a: Host) -> None:
    proxy = a.create(Recorder)
    events = reader.client.get_json(a.address + "/events?since=0&limit=1000")["events"]
    assert [each["event_id"] for each in events] == list(
        range(events[0]["event_id"], events[-1]["event_id"] + 1)
    )
    create = next(each for each in events if each["agent_id"] == proxy.agent_id)
    assert create["kind"] == "create"
    last = events[-1]["event_id"]
    assert reader.client.get_json(f"{a.address}/events?since={last}")["events"] == []
    assert len(reader.client.get_json(a.address + "/events?limit=2")["events"]) == 2


def test_paths_that_are_none(reader: Host, a: Host) -> None:
    with pytest.raises(HostError):
        reader.client.get_json(a.address + "/nothing")
    with pytest.raises(RemoteHostError, match=r"127\.0\.0\.1:9"):
        reader.client.get_json("https://127.0.0.1:9/health")


def test_pages(a: Host) -> None:
    made = {a.create(Recorder).agent_id for _ in range(3)}
    for agent_id in made:
        a.deactivate(agent_id)
    seen: list[str] = []
    cursor = ""
    while True:
        page = a.client.get_json(f"{a.address}/agents?state=inactive&limit=1&cursor={cursor}")
        seen += [each["agent_id"] for each in page["agents"]]
        cursor = page.get("cursor")
        if not cursor:
            break
    assert made <= set(seen)
    assert seen == sorted(seen)
    for what in ("agents", "artifacts", "services"):
        assert a.client.get_json(f"{a.address}/{what}").keys() == {what}  # a list that ends has no cursor
    assert len(seen) == len(set(seen))


def test_lists_of_the_host_itself(a: Host) -> None:
    proxy = a.create(Recorder, Notes(count=3))
    ask(proxy, "log")
    entry = next(each for each in a.list_agents(include_state=True) if each["agent_id"] == proxy.agent_id)
    assert entry["state"]["count"] == 3
    proxy.deactivate()
    assert proxy.agent_id not in {each["agent_id"] for each in a.list_agents()}
    entry = next(
        each
        for each in a.list_agents(active=False, inactive=True, include_state=True)
        if each["agent_id"] == proxy.agent_id
    )
    assert entry["active"] is False
    assert entry["state"]["count"] == 3


# --- output -----------------------------------------------------------------------------------------------


def test_what_paglets_print_is_kept(a: Host, b: Host) -> None:

    proxy = a.create(Server)
    ask(proxy, "print")
    proxy.send(Message("print", arg="hello\nworld"))

    def lines(host: Host) -> list[str]:
        raw = host.client.call(
            a.address, api.LOGS_READ, api.LogsReadParams(agent_id=proxy.agent_id), timeout=5
        )
        return [each["line"] for each in msgspec.json.decode(raw)["lines"]]

    for host in (a, b):
        eventually(lambda host=host: "world" in lines(host))
        shown = lines(host)
        assert "hello" in shown
        assert "to stderr" in shown
