"""Programs that talk to hosts: synchronous, from any thread, with the user's own credentials."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.errors import HostError, InvalidAgentError, RemoteHostError
from paglets.remote.client import HostClient
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.remote.wire.transport import ForeignLoop, PoolTransport
from tests.remote.background import Background
from tests.wire.site import NOTHING, EchoParams, NumberParams, echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Background]:
    with Background(tmp_path) as running:
        yield running


@pytest.fixture
def client(host: Background) -> Iterator[HostClient]:
    with HostClient(mesh_dir=host.mesh.path) as opened:
        yield opened


def client_threads() -> set[threading.Thread]:
    """Those of this process: other tests may keep clients of their own."""
    return {thread for thread in threading.enumerate() if thread.name == "paglets-client"}


def test_reads_and_calls_with_the_users_own_certificate(host: Background, client: HostClient) -> None:
    assert client.get_json(host.url + "/health") == {"name": "rig", "peer": "admin"}
    assert client.call(host.url, "echo", echo("hello")) == b'"hello"'
    assert client.submit(host.url, "double", NumberParams(4)).result(5) == b'{"double":8}'


def test_the_mesh_directory_comes_from_the_environment(
    host: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGLETS_MESH_DIR", str(host.mesh.path))
    with HostClient() as client:
        assert client.get_json(host.url + "/health")["name"] == "rig"


def test_a_local_socket_needs_no_credentials(host: Background, tmp_path: Path) -> None:
    with HostClient(mesh_dir=tmp_path / "never-made") as client:
        assert client.get_json(host.socket_url + "/health")["peer"] == "local"
        assert client.call(host.socket_url, "echo", echo("hi")) == b'"hi"'
    assert not (tmp_path / "never-made").exists()


def test_errors_arrive_as_their_classes(host: Background, client: HostClient) -> None:
    with pytest.raises(InvalidAgentError, match="no paglet 'x' here"):
        client.call(host.url, "fail", NOTHING)
    with pytest.raises(InvalidAgentError, match="no paglet 'y' here"):
        client.get_json(host.url + "/agents/y")


def test_a_host_that_is_not_there_is_named(client: HostClient) -> None:
    for ask in (
        lambda: client.get_json("https://127.0.0.1:1/health"),
        lambda: client.call("https://127.0.0.1:1", "echo", NOTHING),
    ):
        with pytest.raises(RemoteHostError, match=r"https://127\.0\.0\.1:1: connection refused"):
            ask()
    with pytest.raises(RemoteHostError, match="no such socket"):
        client.get_json("unix:/nowhere/x.sock/health")


@pytest.mark.parametrize("url", ["", "x", "https://127.0.0.1:1", "https://x:1/\r\nEvil: 1", "ftp://x/health"])
def test_what_is_no_resource_is_a_value_error(client: HostClient, url: str) -> None:
    with pytest.raises(ValueError, match=r"no host URL|names no resource|percent-encoded"):
        client.get_json(url)


def test_calls_end_in_time(host: Background) -> None:
    with HostClient(0.5, mesh_dir=host.mesh.path) as client:
        with pytest.raises(RemoteHostError, match="did not answer wait in time"):
            client.call(host.url, "wait", NOTHING)
        with pytest.raises(RemoteHostError, match="did not answer in time"):
            client.get_json(host.url + "/slow")
        assert client.call(host.url, "echo", echo("slow start"), timeout=5) == b'"slow start"'


def test_many_threads_share_one_client(host: Background) -> None:
    before = client_threads()
    with HostClient(mesh_dir=host.mesh.path) as client, ThreadPoolExecutor(16) as threads:

        def ask(number: int) -> int:
            return msgspec.json.decode(client.call(host.url, "double", NumberParams(number)))["double"]

        assert list(threads.map(ask, range(300))) == [2 * number for number in range(300)]
        assert len(client_threads() - before) == 1


def test_a_client_starts_no_thread_before_it_is_used_and_leaves_none(host: Background) -> None:
    before = client_threads()
    client = HostClient(mesh_dir=host.mesh.path)
    assert client_threads() == before
    client.close()
    client = HostClient(mesh_dir=host.mesh.path)
    client.get_json(host.url + "/health")
    client.close()
    client.close()
    assert client_threads() == before
    with pytest.raises(HostError, match="client is closed"):
        client.get_json(host.url + "/health")


def test_closing_ends_the_calls_that_wait(host: Background) -> None:
    client = HostClient(mesh_dir=host.mesh.path)
    waiting = client.submit(host.url, "wait", NOTHING)
    host.until(lambda: host.rig.running)
    client.close()
    with pytest.raises((RemoteHostError, HostError)):
        waiting.result(5)
    host.until(lambda: not host.rig.running)


def test_events_are_followed_until_the_caller_has_seen_enough(host: Background, client: HostClient) -> None:
    with client.subscribe(host.url, "events", NOTHING) as events:
        for number in range(3):
            host.on_loop(lambda number=number: host.rig.pushes[0](number))
        assert [next(events) for _ in range(3)] == [b"0", b"1", b"2"]
    host.until(lambda: host.rig.stopped == 1)


def test_following_ends_with_an_error_when_the_host_goes(host: Background, client: HostClient) -> None:
    with client.subscribe(host.url, "events", NOTHING) as events:
        host.stop()
        with pytest.raises(RemoteHostError, match="the host stops"):
            next(events)


def test_a_call_on_the_loops_own_thread_is_refused(host: Background) -> None:
    async def wrong() -> None:
        pool = host.pool()
        try:
            transport = PoolTransport(ForeignLoop(asyncio.get_running_loop(), threading.get_ident()), pool)
            inner = HostClient(transport=transport)
            with pytest.raises(HostError, match="would wait for itself"):
                inner.call(host.url, "echo", NOTHING)
            inner.close()  # what it was given is not its own
            answer = inner.submit(host.url, "echo", echo("mine"), timeout=5)
            assert await asyncio.wrap_future(answer) == b'"mine"'
        finally:
            await pool.close()

    host.run(wrong())


def test_another_users_mesh_is_not_talked_to(host: Background, tmp_path: Path) -> None:
    other = MeshDirectory(tmp_path / "other")
    with HostClient(mesh_dir=other.path) as client, pytest.raises(Exception, match="is not of this mesh"):
        client.get_json(host.url + "/health")


def test_large_values_come_whole(host: Background, client: HostClient) -> None:
    value: Any = {"text": "ä" * 1_000_000, "list": list(range(10_000))}
    raw = msgspec.json.encode(value)
    assert msgspec.json.decode(client.call(host.url, "echo", EchoParams(msgspec.Raw(raw)))) == value
