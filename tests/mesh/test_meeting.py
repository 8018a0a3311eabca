"""Hosts in programs that share a mesh directory know each other when they have started, named or not."""

from __future__ import annotations

import fcntl
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import HostError, PagletError
from paglets.core.messages import Message
from paglets.remote.discovery import Advertisement
from paglets.remote.rendezvous import RENDEZVOUS_FOLDER
from paglets.runtime.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Nothing(PagletState):
    pass


class Wanderer(Paglet[Nothing]):
    State = Nothing

    def handle_message(self, message: Message) -> object:
        return self.context.name if message.same_kind("where") else self.not_handled()


@pytest.fixture(autouse=True)
def own_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default mesh directory of this test, as a user's is."""
    monkeypatch.setenv("PAGLETS_MESH_DIR", str(tmp_path / "mesh"))
    return tmp_path / "mesh"


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, name: str, **options: Any) -> Host:
    host = Host(name, **options)
    stack.callback(host.shutdown)
    host.start_background()
    return host


def names(host: Host) -> list[str]:
    return sorted(ref.name for ref in host.list_hosts(online_only=True, include_self=True))


def test_hosts_with_nothing_but_a_name_are_targets_of_each_other_as_soon_as_they_run(
    started: ExitStack,
) -> None:
    alpha, beta = start(started, "alpha"), start(started, "beta")

    paglet = alpha.create(Wanderer).dispatch("beta")
    assert paglet.send(Message("where")) == "beta"
    assert paglet.dispatch("alpha").send(Message("where")) == "alpha"
    assert names(alpha) == names(beta) == ["alpha", "beta"]


def test_hosts_that_start_at_the_same_moment_know_each_other(started: ExitStack) -> None:
    hosts = [Host(f"host-{number}") for number in range(4)]
    for host in hosts:
        started.callback(host.shutdown)
    with ThreadPoolExecutor(len(hosts)) as threads:
        list(threads.map(Host.start_background, hosts))

    for host in hosts:
        for other in hosts:
            assert host.mesh.wait_for_host(other.name, timeout=10).name == other.name


def test_a_stopped_host_leaves_the_folder(started: ExitStack, own_mesh: Path) -> None:
    start(started, "alpha")
    start(started, "beta").shutdown()

    assert len(list((own_mesh / RENDEZVOUS_FOLDER).iterdir())) == 1


@pytest.mark.parametrize("option", ["mesh", "mesh_lan_discovery"])
def test_a_host_that_is_to_find_nobody_is_not_found_either(started: ExitStack, option: str) -> None:
    alpha, lone = start(started, "alpha"), start(started, "lone", **{option: False})

    with pytest.raises(PagletError, match="lone"):
        alpha.create(Wanderer).dispatch("lone")
    assert names(alpha) == ["alpha"]
    assert names(lone) == ["lone"]
    assert alpha.create(Wanderer).dispatch(lone.address).send(Message("where")) == "lone"


def test_hosts_of_other_mesh_directories_are_not_met(started: ExitStack, tmp_path: Path) -> None:
    alpha = start(started, "alpha")
    other = start(started, "other", mesh_dir=tmp_path / "another")

    assert names(alpha) == ["alpha"]
    assert names(other) == ["other"]


def test_a_host_that_hangs_delays_the_start_of_others_by_half_a_second_at_most(
    started: ExitStack, own_mesh: Path
) -> None:
    alpha = start(started, "alpha")
    hung = started.enter_context(socket.create_server(("127.0.0.1", 0)))  # accepts, and says nothing
    url = f"https://127.0.0.1:{hung.getsockname()[1]}"
    advertisement = Advertisement("b" * 52, alpha.status()["mesh_id"], "hung", 1, (url,))
    file = started.enter_context((own_mesh / RENDEZVOUS_FOLDER / "hung.json").open("wb", buffering=0))
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(msgspec.json.encode(advertisement))

    beta = Host("beta")
    started.callback(beta.shutdown)
    begun = time.monotonic()
    beta.start_background()
    assert (
        0.4 < time.monotonic() - begun < 5
    )  # it was seen and waited for, but not for as long as a dial may take
    assert names(beta) == ["alpha", "beta"]
    with pytest.raises(HostError):
        beta.mesh.resolve_url("hung")
