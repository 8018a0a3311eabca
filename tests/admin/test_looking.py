"""An operator looks at servers and what is on them."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, InvalidAgentError, RemoteHostError
from paglets.core.runtime_values import ServiceScope
from paglets.remote.admin import AgentRecord, PagletsAdminClient, ServerRef, ServiceSummary
from tests.admin.conftest import DOWN
from tests.host.agents import Notes, Recorder
from tests.host.support import eventually

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from paglets.remote.client import HostClient
    from tests.host.support import Pair


@contextmanager
def silent_server() -> Generator[str]:
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_the_list_of_servers(admin: PagletsAdminClient) -> None:
    assert [server.name for server in admin.enabled_servers()] == ["first", "second", "down"]
    assert admin.get_server("asleep").local_start
    with pytest.raises(HostError, match=r"no server called 'third'; known are: first, second, down, asleep"):
        admin.get_server("third")
    admin.set_servers([])
    assert admin.enabled_servers() == []
    assert (admin.health_all(), admin.list_agents_all()) == ([], [])
    with pytest.raises(HostError, match="two servers called 'x'"):
        admin.set_servers([ServerRef("x", DOWN), ServerRef("x", DOWN)])


def test_health_of_all_names_those_that_are_down(pair: Pair, admin: PagletsAdminClient) -> None:
    first, second, down = admin.health_all()
    assert (first.name, first.reachable, first.error) == ("first", True, None)
    assert first.code_version == pair.a.health()["code_version"]
    assert first.latency_ms is not None
    assert 0 < first.latency_ms < 5000
    assert second.reachable
    assert (down.reachable, down.latency_ms, down.active_count, down.code_version) == (False, None, 0, None)
    assert down.url == DOWN
    assert "connection refused" in (down.error or "")


def test_health_counts_paglets(pair: Pair, admin: PagletsAdminClient) -> None:
    before = admin.health("first")
    active, parked = pair.a.create(Recorder), pair.a.create(Recorder)
    parked.deactivate()
    after = admin.health(admin.get_server("first"))
    assert after.active_count == before.active_count + 1
    assert after.inactive_count == before.inactive_count + 1
    active.dispose()
    parked.dispose()


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1:80", "https://a b", "unix:/nowhere/x.sock", "https://"]
)
def test_a_server_with_an_impossible_url_is_unreachable_too(admin: PagletsAdminClient, url: str) -> None:
    status = admin.health(ServerRef("odd", url))
    assert not status.reachable
    assert status.error


def test_servers_that_do_not_answer_are_waited_for_together(
    admin: PagletsAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paglets.remote.admin.HEALTH_TIMEOUT", 0.3)
    with silent_server() as url:
        admin.set_servers([ServerRef(f"mute{number}", url) for number in range(8)])
        statuses: list[object] = []
        asking = threading.Thread(target=lambda: statuses.extend(admin.health_all()))
        asking.start()
        asking.join(2.0)
        assert not asking.is_alive()
    assert len(statuses) == 8
    assert not any(getattr(status, "reachable", True) for status in statuses)


def test_paglets_are_listed_active_or_not(pair: Pair, admin: PagletsAdminClient) -> None:
    active, parked = pair.a.create(Recorder), pair.b.create(Recorder)
    parked.deactivate()
    everywhere = {record.agent_id: record for record in admin.list_agents_all()}
    assert everywhere[active.agent_id] == AgentRecord(
        server_name="first",
        host_url=pair.a.address,
        agent_id=active.agent_id,
        class_name="tests.host.agents:Recorder",
        state_class_name="tests.host.agents:Notes",
        active=True,
    )
    assert not everywhere[parked.agent_id].active
    assert everywhere[parked.agent_id].server_name == "second"
    assert active.agent_id not in {record.agent_id for record in admin.list_agents("second")}
    with pytest.raises(RemoteHostError, match="connection refused"):
        admin.list_agents("down")
    active.dispose()
    parked.dispose()


def test_a_server_that_is_down_is_missing_from_the_list_of_all(
    admin: PagletsAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "paglets.remote.admin"):
        admin.list_agents_all()
    assert [getattr(record, "server", None) for record in caplog.records] == ["down"]


def test_long_lists_come_page_by_page(
    pair: Pair, admin: PagletsAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paglets.remote.admin_reads._PAGE", 2)
    made = [pair.a.create(Recorder, agent_id=f"paged.{number}") for number in range(5)]
    listed = [record.agent_id for record in admin.list_agents("first")]
    assert [each for each in listed if each.startswith("paged.")] == [f"paged.{n}" for n in range(5)]
    for proxy in made:
        proxy.dispose()


def test_hosts_and_events_of_a_server(pair: Pair, admin: PagletsAdminClient) -> None:
    assert {host.name: host.url for host in admin.list_hosts("first")} == {
        "a": pair.a.address,
        "b": pair.b.address,
    }
    since = max((event.event_id for event in admin.list_events("first", limit=1000)), default=0)
    proxy = pair.a.create(Recorder)
    created = eventually(lambda: [e for e in admin.list_events("first", since=since) if e.kind == "create"])
    assert created[0].agent_id == proxy.agent_id
    assert len(admin.list_events("first", limit=1)) == 1
    proxy.dispose()


def test_what_its_host_knows_of_a_paglet(pair: Pair, admin: PagletsAdminClient) -> None:
    proxy = pair.a.create(Recorder, Notes(count=4))
    (record,) = [each for each in admin.list_agents("first") if each.agent_id == proxy.agent_id]
    info = admin.get_agent_info(record)
    assert (info["active"], info["crashed"], info["class_name"]) == (True, False, record.class_name)
    shown = admin.get_agent_state(proxy)
    assert (shown["active"], shown["state"]["count"]) == (True, 4)
    proxy.deactivate()
    assert admin.get_agent_state(proxy.ref())["active"] is False
    proxy.dispose()
    with pytest.raises(InvalidAgentError):
        admin.get_agent_info(record)
    with pytest.raises(InvalidAgentError):
        admin.get_agent_state(record.__class__("first", pair.a.address, "nobody", "", "", active=True))


def test_a_client_of_its_own_is_closed_and_one_that_was_given_is_not(
    pair: Pair, client: HostClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServerRef("first", pair.a.address)
    with PagletsAdminClient([server], client=client) as admin:
        assert admin.health("first").reachable
    assert client.get_json(pair.a.address + "/health")["name"] == "a"
    monkeypatch.setenv("PAGLETS_MESH_DIR", str(root / "mesh"))
    with PagletsAdminClient([server]) as admin:
        assert admin.health("first").reachable
    assert "client is closed" in (admin.health("first").error or "")


def test_services_of_a_server_by_name_and_capability(pair: Pair, admin: PagletsAdminClient) -> None:
    proxy = pair.a.create(Recorder)
    pair.a.advertise_service(proxy.agent_id, "tea", capabilities=["pour"], scope=ServiceScope.MESH)
    pair.a.advertise_service(proxy.agent_id, "coffee")
    (tea,) = admin.list_services("first", "tea")
    assert tea == ServiceSummary(
        server_name="first",
        name="tea",
        host_url=pair.a.address,
        agent_id=proxy.agent_id,
        capabilities=("pour",),
        scope=ServiceScope.MESH,
    )
    assert {service.name for service in admin.list_services("first")} >= {"tea", "coffee"}
    assert [service.name for service in admin.list_services("first", capability="pour")] == ["tea"]
    assert "coffee" not in {each.name for each in admin.list_services("first", scope=ServiceScope.MESH)}
    proxy.dispose()
    assert not {each.name for each in admin.list_services("first")} & {"tea", "coffee"}
    with pytest.raises(RemoteHostError, match="connection refused"):
        admin.list_services("down")
