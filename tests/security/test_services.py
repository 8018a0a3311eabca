"""Members that misuse services: bounds hold for each of them, and others go on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import ForbiddenError, HostError
from paglets.core.runtime_values import ServiceScope
from paglets.remote import api
from paglets.remote.wire.addresses import HostAddress
from paglets.runtime.host import Host
from paglets.runtime.services import leases
from tests.security.impostor import Impostor
from tests.security.intruder import Intruder
from tests.security.watch import goes_on, memory, paglets_of
from tests.services.agents import Calculator
from tests.services.resident_agents import Counter
from tests.services.test_resident import ID, keep

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec

    from paglets.remote.proxy import PagletProxy
    from paglets.remote.wire.pool import LinkPool
    from paglets.services.records import ServiceRecord

MESH = ServiceScope.MESH


def offer(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "trap", "proxy": {"host_url": "https://127.0.0.1:1", "agent_id": "p"}, "capabilities": [],
        "metadata": {}, "scope": "mesh", "host_name": "h",
        "host_url": "https://127.0.0.1:1", "advertised_at": 1.0, "expires_at": None,
    }  # fmt: skip
    return {**plain, **changes}


async def lookup(host: Host, **wanted: Any) -> list[ServiceRecord]:
    return await asyncio.to_thread(host.lookup_services, scope=MESH, **wanted)


async def test_offers_without_measure_spoil_no_search(victim: Host, mallory: Intruder) -> None:
    """One that says too much is passed over, as one that lies; what others offer is found."""
    own = await asyncio.to_thread(victim.create, Calculator)
    async with Impostor(mallory, victim.settings.mesh_version).open() as impostor:
        await asyncio.to_thread(victim.mesh.join, impostor.url)
        impostor.answers[api.SERVICES_LOOKUP] = json.dumps({"services": [offer()]}).encode()
        assert {each.host_name for each in await lookup(victim)} == {"victim", "impostor"}
        before = memory()
        hostile: list[list[Any]] = [
            [offer(metadata={"x": "y" * 7_000_000})],
            [offer(metadata={"x": "y" * 30_000}) for _ in range(230)],
            [offer(proxy={"host_url": "https://127.0.0.1:1", "agent_id": "../x"})],
            [offer(scope="local")],
            [offer(name=5)],
            [offer(metadata=[])],
            [5],
            [[[]]],
        ]
        for services in hostile:
            impostor.answers[api.SERVICES_LOOKUP] = json.dumps({"services": services}).encode()
            assert [each.host_name for each in await lookup(victim)] == ["victim"]
            assert await lookup(victim, name="calculator")
        impostor.answers[api.SERVICES_LOOKUP] = json.dumps({"services": [offer()] * 3000}).encode()
        assert len(await lookup(victim)) <= 1001
        assert memory() - before < 100 * 1024 * 1024
    await asyncio.to_thread(own.dispose)


async def test_an_offer_is_on_the_host_that_tells_of_it(victim: Host, mallory: Intruder) -> None:
    """Nobody can have calls for its own service sent to another host's paglet, or the other way round."""
    async with Impostor(mallory, victim.settings.mesh_version).open() as impostor:
        await asyncio.to_thread(victim.mesh.join, impostor.url)
        lie = offer(
            proxy={"host_url": victim.address, "agent_id": "p"}, host_url=victim.address, host_name="victim"
        )
        impostor.answers[api.SERVICES_LOOKUP] = json.dumps({"services": [lie]}).encode()
        [found] = await lookup(victim, name="trap")
        assert (found.host_name, found.host_url, found.proxy.host_url) == (
            "impostor",
            impostor.url,
            impostor.url,
        )


@pytest.fixture
async def service(victim: Host) -> PagletProxy:
    return await asyncio.to_thread(victim.create, Calculator)


def lease(service: PagletProxy, number: int = 0, **changes: Any) -> api.LeaseParams:
    fields: dict[str, Any] = {"agent_id": service.agent_id, "ttl": 60.0, "lease_id": f"lease-{number}"}
    return api.LeaseParams(**{**fields, **changes})


async def test_one_member_cannot_take_all_leases(
    victim: Host, mallory: Intruder, admin: Intruder, service: PagletProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "MAX_LEASES_OF_ONE_ON_ONE", 20)
    async with mallory.pool() as pool:
        for number in range(20):
            await _ask(pool, victim, api.SERVICES_LEASE, lease(service, number))
        await _ask(pool, victim, api.SERVICES_LEASE, lease(service, 0))  # renewing is none more
        with pytest.raises(HostError, match="one asker"):
            await _ask(pool, victim, api.SERVICES_LEASE, lease(service, 20))
        await admin.ask(victim.address, api.SERVICES_LEASE, lease(service))
        await _ask(pool, victim, api.SERVICES_RELEASE, api.ReleaseParams(lease_id="lease-3"))
        await _ask(pool, victim, api.SERVICES_LEASE, lease(service, 20))
    await asyncio.to_thread(service.dispose)
    await goes_on(victim)


async def test_a_lease_is_its_askers_to_end(
    victim: Host, mallory: Intruder, admin: Intruder, service: PagletProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "MAX_LEASES_ON_ONE", 1)
    await admin.ask(victim.address, api.SERVICES_LEASE, lease(service))
    await mallory.ask(victim.address, api.SERVICES_RELEASE, api.ReleaseParams(lease_id="lease-0"))
    with pytest.raises(HostError, match="as many leases"):
        await mallory.ask(victim.address, api.SERVICES_LEASE, lease(service))
    await admin.ask(victim.address, api.SERVICES_RELEASE, api.ReleaseParams(lease_id="lease-0"))
    await mallory.ask(victim.address, api.SERVICES_LEASE, lease(service))
    await asyncio.to_thread(service.dispose)


async def test_a_member_has_no_host_dial_for_it(
    victim: Host, mallory: Intruder, service: PagletProxy
) -> None:
    elsewhere = "https://127.0.0.1:1"
    with pytest.raises(ForbiddenError, match="where the service is"):
        await mallory.ask(victim.address, api.SERVICES_LEASE, lease(service, host_url=elsewhere))
    release = api.ReleaseParams(lease_id="x", host_url=elsewhere)
    with pytest.raises(ForbiddenError, match="where the service is"):
        await mallory.ask(victim.address, api.SERVICES_RELEASE, release)
    await asyncio.to_thread(service.dispose)


async def test_nobody_takes_the_id_of_a_service_that_a_host_keeps(site: Path, tmp_path: Path) -> None:
    """Not by sending a paglet, not by creating one, not in a greater life, and not while it is parked."""
    keeper = Host("keeper", mesh_dir=site / "mesh", persistence_dir=tmp_path, launch_config=keep(Counter))
    await asyncio.to_thread(keeper.start_background)
    try:
        assert await asyncio.to_thread(keeper.lookup_service, "counter")
        mallory = Intruder.host(site / "mesh")
        for changes in ({}, {"birth": keeper.host_id}, {"incarnation": api.Incarnation(epoch=10**6)}):
            header = mallory.header(keeper, agent_id=ID, **changes)
            answer = await mallory.send(keeper, header)
            assert answer.kind in {"refused", "fenced"}
        create = api.CreateParams(class_name="tests.security.samples:Quiet", agent_id=ID)
        with pytest.raises(HostError, match=r"taken|is there"):
            await mallory.ask(keeper.address, api.PAGLETS_CREATE, create)
        raw = await mallory.ask(keeper.address, api.PAGLETS_INFO, api.PagletParams(agent_id=ID))
        assert raw["class_name"].endswith(":Counter")
        assert await asyncio.to_thread(paglets_of, keeper) == {ID}
    finally:
        await asyncio.to_thread(keeper.stop)


async def _ask(pool: LinkPool, victim: Host, method: str, params: msgspec.Struct) -> None:
    await pool.call(HostAddress(victim.address), method, params, timeout=10.0)
