"""Leases: they keep a lazy service up, and end with whoever holds them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.context import PagletContext
from paglets.core.errors import HostError, PagletCrashedError, RemoteHostError, ServiceNotFoundError
from paglets.core.messages import Message
from paglets.core.references import PagletProxyRef
from paglets.core.runtime_values import ServiceScope
from paglets.runtime.services import leases
from paglets.services.handles import ServiceHandle
from paglets.services.records import ServiceRecord
from tests.host.support import ask, eventually
from tests.services.resident_agents import COUNT, COUNTER, Counter, CountRequest, Holder
from tests.services.test_resident import ID, active, counter, keep

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host

MESH = ServiceScope.MESH
IDLE = 0.15


@pytest.fixture
def provider(start: Callable[..., Host]) -> Host:
    return start("provider", launch_config=keep(Counter, idle_timeout=IDLE))


@pytest.fixture
def other(start: Callable[..., Host], provider: Host) -> Host:
    host = start("other", peers=[provider.address])
    host.mesh.wait_for_host("provider", timeout=10.0)
    provider.mesh.wait_for_host("other", timeout=10.0)
    return host


def _stays_up(host: Host) -> bool:
    """Whether it outlives the time after which an idle one is parked, several times."""
    end = time.monotonic() + 5 * IDLE
    while time.monotonic() < end:
        if not active(host):
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("where", ["provider", "other"])
def test_a_lease_starts_a_service_and_keeps_it_up(
    request: pytest.FixtureRequest, provider: Host, where: str
) -> None:
    holder: Host = request.getfixturevalue(where)
    with PagletContext(holder).lease_contract(COUNTER, scope=MESH) as lease:
        assert lease.host_url == provider.address
        assert not lease.expired
        assert _stays_up(provider)
        assert lease.call(COUNT).total == 101
    assert lease.expired
    lease.release()
    eventually(lambda: not active(provider))
    assert lease.call(COUNT).total == 102


def test_a_client_leases_as_a_host_does(provider: Host, other: Host) -> None:
    record = counter(provider).record
    handle = ServiceHandle(COUNTER, record, other.client)
    lease = other.client.lease_service(handle, ttl=30.0)
    assert _stays_up(provider)
    lease.release()
    eventually(lambda: not active(provider))


def test_a_lease_ends_when_its_time_is_up_also_in_the_middle_of_a_call(provider: Host) -> None:
    lease = PagletContext(provider).lease_contract(COUNTER, ttl=0.2)
    assert lease.call(COUNT, CountRequest(sleep=0.6)).total == 101
    assert lease.expired
    eventually(lambda: not active(provider))
    assert lease.call(COUNT).total == 102


def _release_by_moving(holder: PagletProxy, here: Host) -> None:
    holder.dispatch(here.address)


def _release_by_parking(holder: PagletProxy, _here: Host) -> None:
    holder.deactivate()


def _release_by_disposing(holder: PagletProxy, _here: Host) -> None:
    holder.dispose()


def _release_by_dying(holder: PagletProxy, _here: Host) -> None:
    with pytest.raises(PagletCrashedError):
        holder.send(Message("die"))


def _release_by_leaving(holder: PagletProxy, here: Host) -> None:
    target = next(ref for ref in here.list_hosts(include_self=False))
    holder.dispatch(target.url)


@pytest.mark.parametrize(
    "end",
    [_release_by_moving, _release_by_parking, _release_by_disposing, _release_by_dying, _release_by_leaving],
    ids=lambda end: end.__name__.removeprefix("_release_by_"),
)
@pytest.mark.parametrize("where", ["provider", "other"])
def test_leases_end_with_the_life_of_the_paglet_that_holds_them(
    request: pytest.FixtureRequest, provider: Host, other: Host, where: str, end: Any
) -> None:
    here: Host = request.getfixturevalue(where)
    holder = here.create(Holder)
    for _ in range(3):
        ask(holder, "lease", scope="mesh")
    assert _stays_up(provider)
    end(holder, here)
    eventually(lambda: not active(provider))


def test_one_of_several_leases_is_enough(provider: Host) -> None:
    holder = provider.create(Holder)
    ask(holder, "lease")
    context = PagletContext(provider)
    context.lease_contract(COUNTER).release()
    assert ask(holder, "use") == 101
    assert _stays_up(provider)
    holder.dispose()
    eventually(lambda: not active(provider))


def test_what_no_lease_can_last_is_refused(provider: Host) -> None:
    for ttl in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="ttl"):
            PagletContext(provider).lease_contract(COUNTER, ttl=ttl)
    with pytest.raises(HostError, match="86400"):
        PagletContext(provider).lease_contract(COUNTER, ttl=leases.MAX_TTL + 1)
    assert not active(provider)


def test_leases_of_one_paglet_are_bounded(provider: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MAX_HELD_BY_ONE", 2)
    holder = provider.create(Holder)
    ask(holder, "lease")
    ask(holder, "lease")
    with pytest.raises(HostError, match="holds 2 leases"):
        ask(holder, "lease")
    monkeypatch.setattr(leases, "MAX_LEASES_ON_ONE", 2)
    with pytest.raises(HostError, match="as many leases"):
        PagletContext(provider).lease_contract(COUNTER)


def test_what_is_not_offered_cannot_be_leased(provider: Host) -> None:
    record = ServiceRecord("counter", PagletProxyRef(provider.address, "nobody"))
    with pytest.raises(ServiceNotFoundError, match="nobody"):
        provider.lease_service(COUNTER.handle(record, provider))
    provider.dispose(ID)
    with pytest.raises(ServiceNotFoundError):
        PagletContext(provider).lease_contract(COUNTER)


def test_a_lease_on_a_host_that_is_gone_is_released_all_the_same(provider: Host, other: Host) -> None:
    lease = PagletContext(other).lease_contract(COUNTER, scope=MESH)
    provider.stop()
    lease.release()
    assert lease.expired
    with pytest.raises(RemoteHostError):
        other.lease_service(lease.handle)
