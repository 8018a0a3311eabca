"""The mesh as programs see it: services that run on a loop, and the registry that any thread may ask."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from paglets.core.errors import HostError, RemoteHostError
from paglets.remote import api
from paglets.remote.discovery import AddressHint, Advertisement
from paglets.remote.members import Gossip, HostFacts, ProbeParams
from paglets.remote.membership_effects import MembershipSettings, MeshEvent, MeshEventKind
from paglets.remote.mesh import HostRef, MeshRegistry
from paglets.remote.mesh_service import MeshService
from paglets.remote.wire.addresses import HostAddress

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

T = TypeVar("T")

SETTINGS = MembershipSettings()


class Switch:
    """A network in memory: calls reach the service at a URL, unless its cable is pulled."""

    def __init__(self) -> None:
        self.services: dict[str, tuple[str, MeshService]] = {}
        self.pulled: set[str] = set()
        self.delay = 0.0

    def port(self, sender_id: str) -> Port:
        return Port(self, sender_id)


class Port:
    """One host's side of the switch, as its mesh service sees it."""

    def __init__(self, switch: Switch, sender_id: str) -> None:
        self._switch = switch
        self._sender_id = sender_id

    async def call(
        self, address: HostAddress, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> bytes:
        await asyncio.sleep(self._switch.delay)
        for url in address.urls:
            found = self._switch.services.get(url)
            if found is None or {found[0], self._sender_id} & self._switch.pulled:
                continue
            host_id, service = found
            if address.host_id not in (None, host_id):
                continue
            raw = msgspec.json.encode(params)
            answer: object = {}
            if method == api.MESH_PING:
                answer = await service.on_ping(self._sender_id, msgspec.json.decode(raw, type=Gossip))
            elif method == api.MESH_PROBE:
                answer = await service.on_probe(self._sender_id, msgspec.json.decode(raw, type=ProbeParams))
            elif method == api.MESH_GOODBYE:
                await service.on_goodbye(self._sender_id, api.GoodbyeParams())
            return msgspec.json.encode(answer)
        raise RemoteHostError(f"{address.url} does not answer")


class Box:
    """One host's mesh part, with the registry of the program beside it."""

    def __init__(
        self, switch: Switch, name: str, *, version: str = "1", host_id: str = "", **facts: Any
    ) -> None:
        self.url = f"https://{name}.test:8765"
        self.facts = HostFacts(host_id or f"id-{name}", name, self.url, code_version=version, **facts)
        self.events: list[MeshEvent] = []
        self.service = MeshService(
            switch.port(self.facts.host_id),
            lambda: self.facts,
            SETTINGS,
            on_event=self.events.append,
            clock=asyncio.get_running_loop().time,
        )
        self.registry = MeshRegistry(self.service, OnLoop(asyncio.get_running_loop()))
        self._switch = switch

    async def start(self, *peers: Box) -> None:
        self._switch.services[self.url] = (self.facts.host_id, self.service)
        await self.service.start(peers=[peer.url for peer in peers])

    async def kill(self) -> None:
        """As a power cut: no goodbye gets out."""
        del self._switch.services[self.url]
        self._switch.pulled.add(self.facts.host_id)
        await self.service.stop(timeout=0.2)


class OnLoop:
    """The way onto the test's loop from a worker thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._owner = threading.get_ident()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        if threading.get_ident() == self._owner:
            work.close()
            raise HostError("not from the loop's own thread")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)


@asynccontextmanager
async def running(*boxes: Box) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        for box in boxes:
            await box.service.stop(timeout=0.2)


async def until(condition: Callable[[], bool], limit: float = 60.0) -> float:
    clock = asyncio.get_running_loop().time
    start = clock()
    while not condition():
        assert clock() - start < limit, "it did not happen in time"
        await asyncio.sleep(0.01)
    return clock() - start


def names(registry: MeshRegistry, **options: Any) -> list[str]:
    return [ref.name for ref in registry.hosts(**options)]


async def test_two_hosts_know_each_other_quickly_by_a_peer_url() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta", tags=("arm",), properties={"room": "12"})
    async with running(alpha, beta):
        await alpha.start()
        await beta.start(alpha)
        took = await until(lambda: len(names(alpha.registry)) == len(names(beta.registry)) == 2)

        assert took < 0.5
        ref = alpha.registry.lookup("beta")
        assert ref is not None
        assert ref.online
        assert (ref.url, ref.tags, ref.properties) == (beta.url, ("arm",), {"room": "12"})
        assert abs(ref.last_seen - time.time()) < 5
        assert names(alpha.registry, include_self=False) == ["beta"]
        assert alpha.registry.address_of("beta") == HostAddress(beta.url, "id-beta")
        assert alpha.registry.resolve_url(f"{beta.url}/") == beta.url
        assert alpha.registry.peer_urls() == [beta.url]


async def test_a_killed_host_is_offline_and_comes_back() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha):
        await alpha.start()
        await beta.start(alpha)
        await until(lambda: alpha.registry.is_online("beta"))
        await beta.kill()
        await until(lambda: not alpha.registry.is_online("beta"))

        ref = alpha.registry.lookup("beta")
        assert ref is not None
        assert ref.error
        assert "error" in ref.to_wire()
        assert names(alpha.registry, online_only=True) == ["alpha"]
        await until(lambda: [event.kind for event in alpha.events][-1] == MeshEventKind.FAILED)

        switch.pulled.clear()
        again = Box(switch, "beta")
        async with running(again):
            await again.start(alpha)
            await until(lambda: alpha.registry.is_online("beta"))
            ref = alpha.registry.lookup("beta")
            assert ref is not None
            assert ref.error is None


async def test_a_host_that_stops_says_goodbye() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha):
        await alpha.start()
        await beta.start(alpha)
        await until(lambda: alpha.registry.is_online("beta"))
        await beta.service.stop()

        assert alpha.events[-1].kind == MeshEventKind.LEFT
        assert not alpha.registry.is_online("beta")


async def test_hosts_of_another_code_version_are_visible_and_not_used() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta", version="2")
    async with running(alpha, beta):
        await alpha.start()
        await beta.start(alpha)
        await until(lambda: bool(alpha.registry.incompatible()))

        assert [ref.name for ref in alpha.registry.incompatible()] == ["beta"]
        assert names(alpha.registry) == ["alpha"]
        assert alpha.registry.lookup("beta") is None
        assert not alpha.registry.is_online(beta.url)
        with pytest.raises(HostError, match="code version '2'"):
            alpha.registry.resolve_url("beta")


async def test_a_name_that_two_hosts_have_is_refused_and_the_urls_work() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    twin = Box(switch, "twin")
    twin.facts = msgspec.structs.replace(twin.facts, name="beta")
    async with running(alpha, beta, twin):
        await alpha.start()
        await beta.start(alpha)
        await twin.start(alpha)
        await until(lambda: len(alpha.registry.hosts()) == 3)

        with pytest.raises(HostError, match="several hosts are called 'beta'"):
            alpha.registry.lookup("beta")
        assert alpha.registry.resolve_url(twin.url) == twin.url
        await until(lambda: MeshEventKind.NAME_CLASH in [event.kind for event in alpha.events])


async def test_unknown_names_say_who_is_known() -> None:
    switch = Switch()
    alpha = Box(switch, "alpha")

    assert alpha.registry.lookup("nobody") is None
    assert not alpha.registry.is_online("nobody")
    with pytest.raises(HostError, match="called 'nobody'; known: alpha"):
        alpha.registry.resolve_url("nobody")
    assert alpha.registry.resolve_url("https://10.0.0.9:1/") == "https://10.0.0.9:1"
    for own in ("alpha", alpha.url):
        ref = alpha.registry.lookup(own)
        assert ref is not None
        assert ref.online


async def test_waiting_for_a_host_from_another_thread() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha, beta):
        await alpha.start()
        waiting = asyncio.create_task(asyncio.to_thread(alpha.registry.wait_for_host, "beta", timeout=5.0))
        await beta.start(alpha)

        assert (await waiting).url == beta.url
        with pytest.raises(HostError, match=r"'gamma' was not online within 0\.1 s"):
            await asyncio.to_thread(alpha.registry.wait_for_host, "gamma", timeout=0.1, interval=0.02)
        with pytest.raises(HostError, match="loop's own thread"):
            alpha.registry.wait_for_host("beta")


async def test_joining_by_url_learns_whom_that_host_knows() -> None:
    switch = Switch()
    alpha, beta, gamma = Box(switch, "alpha"), Box(switch, "beta"), Box(switch, "gamma")
    async with running(alpha, beta, gamma):
        await alpha.start()
        await beta.start(alpha)
        await gamma.start()
        await until(lambda: alpha.registry.is_online("beta"))

        await asyncio.to_thread(gamma.registry.join, alpha.url)
        await until(lambda: names(gamma.registry) == ["alpha", "beta", "gamma"])
        with pytest.raises(HostError, match="does not answer"):
            await asyncio.to_thread(gamma.registry.join, "https://nowhere.test:1")
        with pytest.raises(HostError, match="is no host URL"):
            await asyncio.to_thread(gamma.registry.join, "nowhere")


async def test_gossip_once_marks_whom_it_cannot_reach() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha, beta):
        await alpha.start()
        await asyncio.to_thread(alpha.registry.add_seed, beta.url)
        await beta.start()
        await asyncio.to_thread(alpha.registry.gossip_once)
        await until(lambda: alpha.registry.is_online("beta"))

        switch.pulled.add("id-beta")
        await asyncio.to_thread(alpha.registry.gossip_once)
        ref = alpha.registry.lookup("beta")
        assert ref is not None
        assert not ref.online
        assert "does not answer" in (ref.error or "")

        switch.pulled.clear()
        await until(lambda: alpha.registry.is_online("beta"))


async def test_gossip_once_waits_for_a_seed_that_is_being_dialled() -> None:
    switch = Switch()
    switch.delay = 0.2
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha, beta):
        await alpha.start()
        await beta.start()
        await asyncio.to_thread(alpha.registry.add_seed, beta.url)
        await asyncio.to_thread(alpha.registry.gossip_once)
        assert alpha.registry.is_online("beta")


async def test_marking_a_host_offline_lasts_until_it_shows_that_it_is_not() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha, beta):
        await alpha.start()
        await beta.start(alpha)
        await until(lambda: alpha.registry.is_online("beta"))
        switch.pulled.add("id-beta")
        await asyncio.to_thread(alpha.registry.mark_offline, beta.url, "the move broke off")

        ref = alpha.registry.lookup("beta")
        assert ref is not None
        assert (ref.online, ref.error) == (False, "the move broke off")
        switch.pulled.clear()
        await until(lambda: alpha.registry.is_online("beta"))


async def test_a_registered_host_is_listed_until_it_is_met() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    ref = HostRef(
        "beta", beta.url, "1", online=True, last_seen=1.0, active_count=2, inactive_count=0, tags=("B", "a")
    )
    async with running(alpha, beta):
        await alpha.start()
        await asyncio.to_thread(alpha.registry.register, ref)
        assert alpha.registry.lookup("beta") == ref
        await asyncio.to_thread(alpha.registry.mark_offline, beta.url, "gone")
        assert not alpha.registry.is_online("beta")

        await beta.start(alpha)
        await until(lambda: alpha.registry.is_online("beta"))
        assert names(alpha.registry) == ["alpha", "beta"]


async def test_a_registered_host_that_is_not_there_is_found_out() -> None:
    switch = Switch()
    alpha = Box(switch, "alpha")
    async with running(alpha):
        await alpha.start()
        ref = HostRef("ghost", "https://ghost.test:1", "1", True, 1.0, 0, 0)
        await asyncio.to_thread(alpha.registry.register, ref)
        assert alpha.registry.is_online("ghost")
        await asyncio.to_thread(alpha.registry.gossip_once)
        await until(lambda: not alpha.registry.is_online("ghost"))
        found = alpha.registry.lookup("ghost")
        assert found is not None
        assert "does not answer" in (found.error or "")


async def test_a_short_silence_puts_nobody_offline() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha, beta):
        await alpha.start()
        await beta.start(alpha)
        await until(lambda: alpha.registry.is_online("beta"))
        switch.pulled.add("id-beta")
        machine_status = alpha.service.view
        await asyncio.sleep(SETTINGS.suspicion / 3)
        assert alpha.registry.is_online("beta")
        switch.pulled.clear()
        await until(lambda: alpha.service.view is not machine_status)
        assert alpha.registry.is_online("beta")
        assert [event.kind for event in alpha.events] == [MeshEventKind.JOINED]


async def test_counts_follow_without_a_restart() -> None:
    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    async with running(alpha, beta):
        await alpha.start()
        await beta.start(alpha)
        await until(lambda: alpha.registry.is_online("beta"))
        beta.facts = msgspec.structs.replace(beta.facts, active_count=7)
        assert (await asyncio.to_thread(beta.registry.refresh_self)).active_count == 7

        await until(lambda: [ref.active_count for ref in alpha.registry.hosts()] == [0, 7])


async def test_a_discovery_is_told_and_its_hints_are_followed() -> None:
    class Leaflet:
        def __init__(self, hint: AddressHint) -> None:
            self.hint = hint
            self.log: list[str] = []

        async def start(self, advertisement: Advertisement, on_hint: Callable[[AddressHint], None]) -> None:
            self.log.append(f"start {advertisement.name}")
            on_hint(self.hint)

        async def update(self, advertisement: Advertisement) -> None:
            self.log.append(f"update {advertisement.name}")

        async def stop(self) -> None:
            self.log.append("stop")

    switch = Switch()
    alpha, beta = Box(switch, "alpha"), Box(switch, "beta")
    leaflet = Leaflet(AddressHint(alpha.url, "id-alpha"))
    service = MeshService(switch.port("id-beta"), lambda: beta.facts, SETTINGS, discoveries=[leaflet])
    switch.services[beta.url] = ("id-beta", service)
    await alpha.start()
    await service.start(Advertisement("id-beta", "mesh", "beta", 8765))
    async with running(alpha):
        await until(lambda: alpha.registry.is_online("beta"))
        await service.stop()

    assert leaflet.log == ["start beta", "stop"]


async def test_a_host_with_too_much_to_say_is_refused_at_its_start() -> None:
    with pytest.raises(HostError, match="too large"):
        Box(Switch(), "alpha", properties={"novel": "x" * 5000})


def test_host_refs_go_through_json() -> None:
    ref = HostRef(
        "a", "https://h:1", "v", True, 2.5, 1, 2, tags=("Z", "a", "z"), properties={"k": [1]}, error="why"
    )
    assert ref.tags == ("a", "z")
    assert HostRef.from_wire(msgspec.json.decode(msgspec.json.encode(ref.to_wire()))) == ref
    assert "error" not in HostRef("a", "https://h:1", "v", True, 0.0, 0, 0).to_wire()
    with pytest.raises(ValueError, match="not a host reference"):
        HostRef.from_wire({"name": 1})
