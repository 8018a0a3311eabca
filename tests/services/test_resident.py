"""Resident services: known before they run, started when they are asked, parked when nobody asks any more."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from paglets.config.launch_config import LaunchConfig, ResidentServiceConfig, StartupAgentConfig
from paglets.core.context import PagletContext
from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    LifecycleError,
    PagletCrashedError,
    ServiceNotFoundError,
    TransferError,
)
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.services.resident import RESIDENT_SERVICE_METADATA_KEY
from tests.host.support import ask, eventually, exists
from tests.services.agents import Calculator, User
from tests.services.resident_agents import (
    COUNT,
    COUNTER,
    DIE,
    TICKER,
    Broken,
    Count,
    Counter,
    CountRequest,
    Holder,
    Several,
    Stillborn,
    Ticker,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.host import Host
    from paglets.services.handles import ServiceHandle
    from paglets.services.resident import ServiceLease

MESH = ServiceScope.MESH
ID = "service.counter"


def _class(cls: type[Any]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def keep(cls: type[Any], **options: Any) -> LaunchConfig:
    """A launch configuration that keeps one service."""
    services = (ResidentServiceConfig(class_name=_class(cls), **options),)
    return LaunchConfig(Path("launch.toml"), resident_services=services)


def counter(host: Host, scope: ServiceScope = ServiceScope.LOCAL) -> ServiceHandle:
    return PagletContext(host).require_contract(COUNTER, scope=scope)


def active(host: Host, agent_id: str = ID) -> bool:
    proxy = host.get_proxy(agent_id, include_inactive=True)
    return proxy is not None and proxy.is_active()


def test_a_lazy_service_is_known_before_it_runs_and_starts_when_it_is_asked(
    start: Callable[..., Host],
) -> None:
    host = start("one", launch_config=keep(Counter))
    record = host.lookup_services("counter")[0]
    assert record.proxy.agent_id == ID
    assert record.metadata[RESIDENT_SERVICE_METADATA_KEY]["lifecycle"] == "lazy"
    assert not active(host)
    answer = counter(host).call(COUNT)
    assert (answer.total, answer.lives) == (101, ["created"])
    assert active(host)
    eventually(lambda: not active(host))
    eventually(lambda: not exists(answer.pid))
    assert host.lookup_service("counter") is not None
    again = counter(host).call(COUNT)
    assert (again.total, again.lives) == (102, ["created", "activate"])
    told = [(e.kind, e.agent_id) for e in host.list_events(limit=1000) if e.kind.startswith("resident-")]
    assert told == [
        ("resident-service-create", ID),
        ("resident-service-deactivate", ID),
        ("resident-service-activate", ID),
    ]


def test_first_calls_at_once_start_one_provider(start: Callable[..., Host]) -> None:
    near = start("near", launch_config=keep(Counter, state={"start_delay": 0.2, "total": 0}))
    far = start("far", peers=[near.address])
    far.mesh.wait_for_host("near", timeout=10.0)
    handles = [counter(near), counter(far, MESH)] * 8
    leases = [PagletContext(near), PagletContext(far)]

    def call(handle: ServiceHandle) -> Count:
        return handle.call(COUNT, timeout=20.0)

    def hold(context: PagletContext) -> ServiceLease:
        return context.lease_contract(COUNTER, scope=MESH)

    with ThreadPoolExecutor(18) as pool:
        held = pool.map(hold, leases)
        answers = list(pool.map(call, handles))
    assert sorted(answer.total for answer in answers) == list(range(1, 17))
    assert len({answer.pid for answer in answers}) == 1
    assert answers[-1].lives == ["created"]
    for lease in held:
        lease.release()


def test_calls_while_it_is_being_parked_are_not_lost(start: Callable[..., Host]) -> None:
    host = start("one", launch_config=keep(Counter, idle_timeout=0.001))
    handle = counter(host)
    totals = [handle.call(COUNT, timeout=20.0).total for _ in range(40)]
    assert totals == list(range(101, 141))
    parked = [e for e in host.list_events(limit=1000) if e.kind == "resident-service-deactivate"]
    eventually(lambda: not active(host))
    assert len(parked) < 40


def test_a_long_call_keeps_it_up(start: Callable[..., Host]) -> None:
    host = start("one", launch_config=keep(Counter, idle_timeout=0.1))
    first = counter(host).call(COUNT, CountRequest(sleep=0.5))
    assert first.total == 101
    assert [e.kind for e in host.list_events(limit=1000) if e.kind == "deactivate"] == []


def test_an_eager_service_runs_from_the_start_and_comes_back(
    start: Callable[..., Host], tmp_path: Path
) -> None:
    config = keep(Ticker, init="salt")
    host = start("one", launch_config=config)
    handle = PagletContext(host).require_contract(TICKER)
    assert handle.call(COUNT).lives == ["created with salt"]
    host.stop()
    host = start("one", launch_config=config)
    eventually(lambda: active(host, "service.ticker"))
    handle = PagletContext(host).require_contract(TICKER)
    assert handle.call(COUNT).lives == ["created with salt", "recovered"]


def test_lazy_services_keep_their_state_over_restarts_of_the_host(start: Callable[..., Host]) -> None:
    config = keep(Counter, idle_timeout=30.0)
    host = start("one", launch_config=config)
    assert counter(host).call(COUNT).total == 101
    host.shutdown()
    host = start("one", launch_config=config)
    assert counter(host).call(COUNT).total == 102
    host.deactivate(ID)
    host.stop()
    host = start("one", launch_config=config)
    assert not active(host)
    assert counter(host).call(COUNT).total == 103


def test_a_kept_service_that_is_killed_comes_back(start: Callable[..., Host]) -> None:
    near = start("near", launch_config=keep(Ticker))
    far = start("far", peers=[near.address])
    far.mesh.wait_for_host("near", timeout=10.0)
    handle = PagletContext(far).require_contract(TICKER, scope=MESH)
    pid = handle.call(COUNT).pid
    with pytest.raises(PagletCrashedError):
        handle.call(DIE)
    eventually(lambda: far.lookup_service("ticker", scope=MESH) is not None)
    assert handle.call(COUNT).pid != pid


def test_offers_of_a_provider_that_was_killed_are_gone_at_once(start: Callable[..., Host]) -> None:
    near = start("near")
    far = start("far", peers=[near.address])
    far.mesh.wait_for_host("near", timeout=10.0)
    provider = near.create(Counter)
    assert far.lookup_service("counter", scope=MESH) is not None
    pid = provider.info()["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: [e for e in near.list_events(limit=1000) if e.kind == "paglet-crashed"])
    assert far.lookup_services("counter", scope=MESH) == []


def test_a_resident_service_stays_where_it_is(start: Callable[..., Host]) -> None:
    near = start("near", launch_config=keep(Counter))
    far = start("far", peers=[near.address], launch_config=keep(Counter))
    far.mesh.wait_for_host("near", timeout=10.0)
    near.mesh.wait_for_host("far", timeout=10.0)
    counter(near).call(COUNT)
    for move in (
        lambda: near.dispatch(ID, far.address),
        lambda: near.dispatch(ID, near.address),
        lambda: near.clone(ID),
        lambda: near.clone(ID, target="far"),
    ):
        with pytest.raises(LifecycleError, match="each host has its own"):
            move()
    far_other = start("third", peers=[near.address])
    far_other.mesh.wait_for_host("near", timeout=10.0)
    for taken in (ID, "service.of-nobody"):
        intruder = far_other.create(User, agent_id=taken)
        with pytest.raises(TransferError):
            intruder.dispatch(near.address)
    found = PagletContext(far).lookup_contracts(COUNTER, scope=MESH)
    assert [(each.record.host_name, each.record.proxy.agent_id) for each in found] == [
        ("far", ID),
        ("near", ID),
    ]
    assert [each.call(COUNT).total for each in found] == [101, 102]


def test_a_singleton_is_alone(start: Callable[..., Host]) -> None:
    host = start("one", launch_config=keep(Counter))
    assert host.lookup_service("counter") is not None
    with pytest.raises(HostError, match=r"'counter' is offered on host one by paglet service\.counter"):
        host.create(Counter)
    with pytest.raises(HostError, match="only one"):
        host.create(Several)
    user = host.create(User)
    with pytest.raises(HostError, match="only one"):
        ask(user, "advertise", name="counter")
    assert len(host.list_agents()) == 1
    host.dispose(ID)
    assert host.lookup_services("counter") == []
    first, second = host.create(Several), host.create(Several)
    assert {r.proxy.agent_id for r in host.lookup_services("counter")} == {first.agent_id, second.agent_id}
    with pytest.raises(HostError, match="only one"):
        host.create(Counter)


def test_an_ordinary_paglet_offers_what_its_class_declares_wherever_it_goes(
    start: Callable[..., Host],
) -> None:
    near = start("near")
    far = start("far", peers=[near.address])
    far.mesh.wait_for_host("near", timeout=10.0)
    near.mesh.wait_for_host("far", timeout=10.0)
    proxy = near.create(Counter)
    assert counter(far, MESH).record.host_name == "near"
    moved = proxy.dispatch(far.address)
    assert near.lookup_services("counter") == []
    assert counter(near, MESH).record.host_name == "far"
    assert counter(near, MESH).call(COUNT).total == 1
    eventually(lambda: not moved.is_active())
    assert counter(near, MESH).call(COUNT).total == 2
    moved.deactivate()
    assert counter(near, MESH).record.host_name == "far"
    back = moved.dispatch(near.address)
    assert far.lookup_services("counter") == []
    back.dispose()


def test_an_ordinary_lazy_provider_is_found_again_after_a_restart(start: Callable[..., Host]) -> None:
    host = start("one")
    proxy = host.create(Counter)
    eventually(lambda: not proxy.is_active())
    host.stop()
    host = start("one")
    eventually(lambda: host.lookup_service("counter") is not None)
    assert counter(host).record.proxy.agent_id == proxy.agent_id


def test_what_the_host_is_told_goes_before_what_the_class_says(start: Callable[..., Host]) -> None:
    host = start(
        "one",
        launch_config=keep(
            Counter,
            agent_id="my.counter",
            scope=ServiceScope.LOCAL,
            lifecycle=ResidentLifecycle.EAGER,
            singleton=False,
            state={"total": 7},
        ),
    )
    eventually(lambda: active(host, "my.counter"))
    record = eventually(lambda: host.lookup_services("counter"))[0]
    assert record.scope is ServiceScope.LOCAL
    assert record.proxy.agent_id == "my.counter"
    assert counter(host).call(COUNT).total == 8


@pytest.mark.parametrize("cls", [Broken, Calculator], ids=["no-spec", "none-declared"])
def test_what_cannot_be_kept_is_named(
    start: Callable[..., Host], cls: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    host = start("one", launch_config=keep(cls))
    with pytest.raises(ServiceNotFoundError):
        counter(host)
    assert "RESIDENT_SERVICES" in " ".join(str(vars(record).get("error", "")) for record in caplog.records)
    assert host.create(User).is_active()


def test_a_service_whose_first_hook_fails_is_not_offered(start: Callable[..., Host]) -> None:
    host = start("one", launch_config=keep(Stillborn))
    handle = PagletContext(host).require_contract(TICKER)
    with pytest.raises(PagletCrashedError, match="not today"):
        handle.call(COUNT)
    eventually(lambda: host.lookup_services("ticker") == [])


def test_a_bad_declaration_of_a_class_is_refused_at_its_creation(start: Callable[..., Host]) -> None:
    host = start("one")
    with pytest.raises(InvalidAgentError, match="RESIDENT_SERVICES"):
        host.create(Broken)


def test_startup_agents_are_created_once(start: Callable[..., Host]) -> None:
    agents = (
        StartupAgentConfig(class_name=_class(Calculator), agent_id="calc", state={"scope": "local"}),
        StartupAgentConfig(class_name=_class(User)),
        StartupAgentConfig(class_name=_class(Holder), enabled=False),
    )
    config = LaunchConfig(Path("launch.toml"), startup_agents=agents)
    host = start("one", launch_config=config)
    eventually(lambda: len(host.list_agents()) == 2)
    before = {each["agent_id"] for each in host.list_agents()}
    host.shutdown()
    host = start("one", launch_config=config)
    eventually(lambda: host.health()["active_count"] == 2)
    assert {each["agent_id"] for each in host.list_agents(inactive=True)} == before
    assert "calc" in before
