"""Paglets that flood: each is refused by a clear error beyond its part, and those beside it are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from paglets.core.errors import HostError
from paglets.core.messages import Message
from paglets.core.runtime_values import ServiceScope
from paglets.runtime.settings import Limits
from tests.overload.agents import Bystander, Flooder, Sleeper
from tests.overload.watching import bystander_served, eventually, pressure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh

MIB = 1024 * 1024
MAIL = "bytes of messages that wait"
PLACES = 24


@pytest.fixture(scope="module")
def host(mesh: LocalMesh) -> Host:
    limits = Limits(active_paglets=PLACES, mailbox_messages=200, waiting_bytes=16 * MIB, memory_reserve=0)
    return mesh.start("flooded", limits=limits)


@pytest.fixture
def flooder(host: Host) -> Iterator[PagletProxy]:
    proxy = host.create(Flooder)
    yield proxy
    for entry in host.list_agents():
        if entry["class_name"].startswith("tests.overload"):
            host.proxy_for(host.address, entry["agent_id"]).dispose()


@pytest.fixture
def sleeper(host: Host, flooder: PagletProxy) -> PagletProxy:
    return host.create(Sleeper)


def test_messages_beyond_a_mailbox_are_refused_and_another_sender_has_room_still(
    host: Host, flooder: PagletProxy, sleeper: PagletProxy
) -> None:
    with bystander_served(host):
        told = flooder.send_future(Message("sends", {"to": sleeper.agent_id, "times": 1000}), timeout=60)
        eventually(lambda: pressure(host, MAIL)["refused"], "the mailbox to be full")
        assert sleeper.send(Message("note"), timeout=60), "another sender is taken in"
        outcomes = told.get_reply(timeout=60)
    assert outcomes["HostError"] > 500
    assert set(outcomes) == {"done", "HostError"}
    assert "the mailbox of" in flooder.send(Message("why"))
    assert MAIL in host.health()["tight"]
    eventually(lambda: not pressure(host, MAIL)["used"], "it to be over")
    assert flooder.send(Message("sends", {"to": sleeper.agent_id, "times": 5}), timeout=30) == {"done": 5}


def test_bytes_of_messages_are_bounded_for_the_host_and_each_paglet_has_its_part(
    host: Host, flooder: PagletProxy, sleeper: PagletProxy
) -> None:
    sleeper.send_future(Message("sleep", {"seconds": 3}))
    before = psutil.Process().memory_info().rss
    with bystander_served(host) as watch:
        flood = {"to": sleeper.agent_id, "times": 40, "size": MIB}
        outcomes = flooder.send(Message("sends", flood), timeout=60)
    assert outcomes["HostError"] > 20
    assert watch.most_memory - before < 100 * MIB
    eventually(lambda: not pressure(host, MAIL)["used"], "it to be over")
    eventually(lambda: not pressure(host, "bytes of calls by paglets")["used"], "it to be over")


def test_one_way_messages_beyond_a_mailbox_are_refused(
    host: Host, flooder: PagletProxy, sleeper: PagletProxy
) -> None:
    sleeper.send_future(Message("sleep", {"seconds": 3}))
    with bystander_served(host):
        outcomes = flooder.send(
            Message("one-ways", {"to": sleeper.agent_id, "times": 400, "size": 10}), timeout=60
        )
    assert outcomes["HostError"] > 100
    assert outcomes["done"] > 100


def test_a_paglet_that_creates_until_it_may_not_leaves_places_for_people(
    host: Host, flooder: PagletProxy
) -> None:
    parked = host.create(Bystander)
    parked.deactivate()
    with bystander_served(host):
        outcomes = flooder.send(Message("creates", {"times": 40}), timeout=60)
        assert 10 < outcomes["done"] < PLACES
        assert outcomes["HostError"] == 40 - outcomes["done"]
        assert "keeps the rest of its places" in flooder.send(Message("why"))
        assert "active paglets" in host.health()["tight"]
        assert parked.send(Message("note"), timeout=30) == 1, "one that is parked can wake"
        created = host.create(Bystander)
        assert created.send(Message("note"), timeout=10) == 1
        with pytest.raises(HostError, match="already runs"):
            assert [host.create(Bystander) for _ in range(PLACES)] == []
    created.dispose()
    parked.dispose()
    for entry in host.list_agents():
        if entry["class_name"].endswith(":Bystander"):
            host.proxy_for(host.address, entry["agent_id"]).dispose()
    assert flooder.send(Message("creates", {"times": 1}), timeout=30) == {"done": 1}


def test_a_paglet_that_clones_itself_until_it_may_not_leaves_places_for_people(
    host: Host, flooder: PagletProxy
) -> None:
    with bystander_served(host):
        outcomes = flooder.send(Message("clones", {"times": 30}), timeout=60)
        assert set(outcomes) == {"done", "HostError"}
        host.create(Bystander).dispose()


def test_offers_of_services_are_bounded(host: Host, flooder: PagletProxy) -> None:
    with bystander_served(host):
        outcomes = flooder.send(Message("services", {"times": 200}), timeout=60)
    assert outcomes == {"done": 64, "HostError": 136}
    assert len(host.lookup_services(scope=ServiceScope.LOCAL)) < 80


def test_a_paglet_that_prints_without_end_keeps_nobody_from_working(host: Host, flooder: PagletProxy) -> None:
    before = psutil.Process().memory_info().rss
    with bystander_served(host) as watch:
        flooder.send(Message("prints", {"times": 100_000}), timeout=60)
    assert watch.most_memory - before < 50 * MIB


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_paglet_does_not_take_all_of_the_link_to_another_host(
    mesh: LocalMesh, host: Host, flooder: PagletProxy
) -> None:
    """The flood fills its part of the link's places, others get theirs, and heartbeats go on."""
    other = mesh.start("other")
    slow, quick = other.create(Sleeper), other.create(Bystander)
    beside = host.create(Flooder)
    with bystander_served(host), bystander_served(other):
        flood = {"to": slow.agent_id, "times": 4000, "host_url": other.address}
        told = flooder.send_future(Message("sends", flood), timeout=100)
        share = "calls by paglets to another host"
        eventually(lambda: pressure(host, share)["refused"], "the link's places to be used up")
        few = {"to": quick.agent_id, "times": 20, "host_url": other.address}
        assert beside.send(Message("sends", few), timeout=30) == {"done": 20}
        assert host.mesh.is_online("other")
        assert other.mesh.is_online("flooded")
        slow.dispose()
        outcomes = told.get_reply(timeout=100)
    assert sum(outcomes.values()) == 4000
    assert outcomes["HostError"] > 500
    kinds = {event.kind for each in (host, other) for event in each.list_events(limit=1000)}
    assert "peer-failed" not in kinds
    eventually(lambda: not pressure(host, share)["used"], "it to be over")
