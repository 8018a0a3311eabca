"""Hosts of another release, or broken ones, that answer with something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import HostError, RemoteHostError
from paglets.remote.admin import PagletsAdminClient, ServerRef
from paglets.remote.client import HostClient
from tests.remote.background import Background
from tests.wire.site import Rig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from paglets.remote.wire.reads import Query

ODD: dict[str, Any] = {
    "/health": {"name": "rig"},
    "/agents": {"agents": [{"agent_id": 1}]},
    "/hosts": {"hosts": 3},
    "/services": {"services": [{"name": "x"}], "cursor": None},
    "/events": [],
    "/list": {"agents": [], "cursor": "same"},
    "/marker": {"__paglets_binary__": "bytes", "base64": "!"},
}


class OddRig(Rig):
    def reads(self) -> Mapping[str, Callable[[Query], Awaitable[Any]]]:
        def read(path: str) -> Callable[[Query], Awaitable[Any]]:
            async def answered(_: Query) -> Any:
                return ODD[path]

            return answered

        return {path: read(path) for path in ODD}


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Background]:
    with Background(tmp_path, OddRig) as running:
        yield running


@pytest.fixture
def admin(odd: Background) -> Iterator[PagletsAdminClient]:
    with HostClient(mesh_dir=odd.mesh.path) as client:
        yield PagletsAdminClient([ServerRef("odd", odd.url)], client=client)


def test_every_read_says_which_host_answered_what(odd: Background, admin: PagletsAdminClient) -> None:
    for ask in (admin.list_agents, admin.list_hosts, admin.list_services, admin.list_events):
        with pytest.raises(
            RemoteHostError, match=rf"the host at {odd.url} answered /\w+.* with something else"
        ):
            ask("odd")


def test_a_server_with_an_odd_health_counts_as_unreachable(admin: PagletsAdminClient) -> None:
    (status,) = admin.health_all()
    assert not status.reachable
    assert "answered /health with something else" in (status.error or "")


def test_pages_that_never_end_are_given_up(
    admin: PagletsAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ODD, "/agents", ODD["/list"])
    with pytest.raises(RemoteHostError, match="the same page for ever"):
        admin.list_agents("odd")


def test_values_that_cannot_be_read_are_the_hosts_fault(odd: Background) -> None:
    with HostClient(mesh_dir=odd.mesh.path) as client:
        with pytest.raises(RemoteHostError, match=r"answered /marker with what cannot be read"):
            client.get_json(odd.url + "/marker")
        with pytest.raises(HostError, match="there is nothing to read at /nothing"):
            client.get_json(odd.url + "/nothing")
