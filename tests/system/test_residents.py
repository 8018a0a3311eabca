"""Hosts that keep the system services, as the bundled launch configuration has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from paglets.config.bundled import bundled_launch_config_text
from paglets.core.errors import LifecycleError
from paglets.core.runtime_values import ServiceScope
from paglets.system.mesh_info import MESH_INFO_AGENT_ID
from paglets.system.server_info import SERVER_INFO_AGENT_ID
from paglets.system.user_info import USER_INFO_AGENT_ID
from tests.host.support import Pair, ask, eventually, start_host
from tests.system.agents import UserOfServices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


@pytest.fixture(scope="module")
def keepers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two hosts that keep what the program comes with."""
    root = tmp_path_factory.mktemp("keepers")
    (root / "launch.toml").write_text(bundled_launch_config_text())
    a = start_host("a", root, launch_config=root / "launch.toml")
    b = start_host("b", root, launch_config=root / "launch.toml", peers=[a.address])
    a.mesh.wait_for_host("b", timeout=10.0)
    b.mesh.wait_for_host("a", timeout=10.0)
    yield Pair(a, b)
    b.stop()
    a.stop()


@pytest.fixture(scope="module")
def user(keepers: Pair) -> PagletProxy:
    """A paglet on the first host that uses the services."""
    return keepers.a.create(UserOfServices)


def is_active(host: Host, agent_id: str) -> bool:
    proxy = host.get_proxy(agent_id, include_inactive=True)
    return proxy is not None and proxy.is_active()


def test_mesh_info_runs_by_itself_and_the_others_when_they_are_asked(
    keepers: Pair, user: PagletProxy
) -> None:
    eventually(lambda: is_active(keepers.a, MESH_INFO_AGENT_ID))
    assert not is_active(keepers.a, SERVER_INFO_AGENT_ID)
    assert ask(user, "load") == psutil.cpu_count()
    assert is_active(keepers.a, SERVER_INFO_AGENT_ID)


def test_a_paglet_chooses_among_the_hosts_of_the_mesh(user: PagletProxy) -> None:
    eventually(lambda: ask(user, "targets") == ["a", "b"])


def test_a_paglet_tells_people_something(keepers: Pair, user: PagletProxy) -> None:
    assert ask(user, "tell") is True
    assert is_active(keepers.a, USER_INFO_AGENT_ID)
    assert ask(user, "told") == [["warning", "Cellar", user.agent_id]]


def test_the_services_are_offered_to_the_whole_mesh(keepers: Pair) -> None:
    def offered() -> list[str]:
        return sorted(record.name for record in keepers.b.lookup_services(scope=ServiceScope.MESH))

    eventually(
        lambda: offered() == [name for name in ("mesh-info", "server-info", "user-info") for _ in "ab"]
    )


def test_a_service_does_not_move(keepers: Pair) -> None:
    service = keepers.a.get_proxy(MESH_INFO_AGENT_ID)
    assert service is not None
    with pytest.raises(LifecycleError):
        service.dispatch(keepers.b.address)
    assert service.is_active()
