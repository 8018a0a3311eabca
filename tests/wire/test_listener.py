"""The doors themselves: addresses, the local socket, versions, closing, odd WebSocket clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from paglets.core.errors import HostError, RemoteHostError
from paglets.remote.wire import dialer
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.channel import Channel
from paglets.remote.wire.settings import CONTROL_PATH
from paglets.remote.wire.sockets import bind_unix
from paglets.remote.wire.strangers import Refusal
from tests.wire.raw_link import RawLink
from tests.wire.site import NOTHING, Rig, Site, echo, until

V1 = Subprotocol("paglets.v1")


def unstarted(site: Site) -> Rig:
    return Rig(site.mesh, site.directory / "unstarted")


def modes(path: Path) -> tuple[int, int]:
    return stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)


def open_to_all(path: Path) -> None:
    for directory in path.parents:
        if directory.owner() == "root" and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    path.chmod(0o666)


async def started(site: Site, *binds: str, port: int = 0) -> Rig:
    rig = unstarted(site)
    await rig.start(binds, port)
    site.stack.push_async_callback(rig.listener.close)
    return rig


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_what_is_small_leaves_at_once_at_both_ends(
    site: Site, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an answer waits for the other side to acknowledge the one before, which it delays for 40 ms."""
    ends: list[asyncio.BaseTransport] = []
    really = Channel.connection_made

    def made(self: Channel, transport: asyncio.BaseTransport) -> None:
        ends.append(transport)
        really(self, transport)

    monkeypatch.setattr(Channel, "connection_made", made)
    rig = await started(site, address)
    await site.pool().call(rig.address, "echo", NOTHING, timeout=5)
    assert len(ends) == 2
    for end in ends:
        assert end.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_every_address_means_ipv4_and_ipv6_on_one_port(site: Site) -> None:
    rig = await started(site, "")
    assert rig.listener.urls[0] == f"https://0.0.0.0:{rig.listener.port}"
    for host in ("127.0.0.1", "[::1]") if socket.has_ipv6 else ("127.0.0.1",):
        url = f"https://{host}:{rig.listener.port}"
        assert await site.pool().call(HostAddress(url), "echo", echo("x"), timeout=5) == b'"x"'


async def test_several_addresses_share_a_port(site: Site) -> None:
    rig = await started(site, "127.0.0.1", "127.0.0.2")
    assert rig.listener.urls == (
        f"https://127.0.0.1:{rig.listener.port}",
        f"https://127.0.0.2:{rig.listener.port}",
    )


@pytest.mark.parametrize("bind", ["no.such.host.invalid", "192.0.2.1", "zzz..", "x" * 64, "a\0b"], ids=ascii)
async def test_an_address_that_cannot_be_bound_is_named(site: Site, bind: str) -> None:
    with pytest.raises(HostError, match=f"cannot listen on .*{re.escape(repr(bind)[1:-1])}"):
        await unstarted(site).start(("127.0.0.1", bind))


async def test_a_port_in_use_is_named_and_nothing_stays_bound(site: Site) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            HostError, match=f"cannot listen on 127.0.0.2 port {port}: Address already in use"
        ):
            await unstarted(site).start(("127.0.0.1", "127.0.0.2"), port)
        with socket.create_server(("127.0.0.1", port)):
            pass


async def test_the_local_socket_is_for_its_user_and_speaks_the_same(site: Site) -> None:
    rig = await site.rig()
    path = Path(rig.socket_url.removeprefix("unix:"))
    assert modes(path) == (0o600, 0o700)
    pool = site.pool()
    peer = await pool.call(HostAddress(rig.socket_url), "whoami", NOTHING, timeout=5)
    assert b'"kind":"local"' in peer
    assert b'"local"' in await pool.fetch(HostAddress(rig.socket_url), "/health")
    await rig.listener.close()
    with pytest.raises(FileNotFoundError):
        modes(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_user_is_turned_away_from_the_local_socket(site: Site) -> None:
    rig = await site.rig()
    path = Path(rig.socket_url.removeprefix("unix:"))
    open_to_all(path)
    program = (
        "import os,socket,sys; os.setuid(65534); s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /health HTTP/1.1\\r\\n\\r\\n'); sys.exit(len(s.recv(100)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(path), stderr=asyncio.subprocess.PIPE
    )
    await asyncio.wait_for(process.communicate(), 10)
    await until(lambda: rig.listener.counts.get(Refusal.WRONG_USER.value))


def test_a_stale_socket_is_replaced_and_a_live_or_foreign_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run" / "x.sock"
    bind_unix(path, 5).close()
    assert path.exists()
    live = bind_unix(path, 5)
    try:
        with pytest.raises(HostError, match="another host listens"):
            bind_unix(path, 5)
    finally:
        live.close()
    path.unlink()
    path.write_text("a file")
    with pytest.raises(HostError, match="no socket is there"):
        bind_unix(path, 5)
    with pytest.raises(HostError, match="longer than 107 bytes"):
        bind_unix(tmp_path / ("x" * 120) / "x.sock", 5)


async def test_another_major_version_is_told_why(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await site.rig()

    class Tomorrow:
        """A calling side that offers what this host does not speak."""

        def __call__(self, *args: Any, **named: Any) -> Any:
            named["subprotocols"] = [Subprotocol("paglets.v2")]
            return ClientProtocol(*args, **named)

    monkeypatch.setattr(dialer, "ClientProtocol", Tomorrow())
    with pytest.raises(RemoteHostError, match=r"speaks paglets\.v1, you offered paglets\.v2"):
        await site.pool().call(rig.address, "echo", NOTHING, timeout=5)
    await until(lambda: rig.reports)
    assert rig.reports[0].reason is Refusal.VERSION
    assert "paglets.v2" in rig.reports[0].detail


async def test_an_ordinary_websocket_client_can_talk_to_it(site: Site) -> None:
    rig = await site.rig()
    context = site.admin().client_context()
    url = f"wss://127.0.0.1:{rig.listener.port}{CONTROL_PATH}"
    async with connect(url, ssl=context, subprotocols=[V1], proxy=None) as client:
        await client.send('{"jsonrpc":"2.0","method":"echo","id":1,"params":{"value":[1,2]}}')
        assert await client.recv() == '{"jsonrpc":"2.0","id":1,"result":[1,2]}'
        await client.send(iter(['{"jsonrpc":"2.0",', '"method":"echo",', '"id":2}']))
        assert await client.recv() == '{"jsonrpc":"2.0","id":2,"result":null}'
        await (await client.ping())
        await client.send(b"binary")
        assert "text frames" in str(await client.recv())


async def test_a_message_of_too_many_fragments_is_cut_off(site: Site) -> None:
    rig = await site.rig()
    path = rig.socket_url.removeprefix("unix:")
    async with unix_connect(path, uri=f"ws://localhost{CONTROL_PATH}", subprotocols=[V1]) as client:
        with contextlib.suppress(ConnectionClosed):
            await client.send(iter(["x"] * 5000))
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_a_silent_connection_is_pinged_and_given_up_when_it_stays_silent(site: Site) -> None:
    rig = await site.rig(ping_interval=0.1, ping_timeout=0.2)
    pool = site.pool()
    await pool.call(rig.address, "echo", NOTHING, timeout=5)
    link = await pool.link(rig.address)
    gone = asyncio.ensure_future(link.wait_closed())
    assert not (await asyncio.wait([gone], timeout=0.5))[0]  # it answers pings
    async with RawLink.open(rig, site.member()) as deaf:
        assert rig.listener.connections == 2
        deaf.stop_reading()
        await until(lambda: rig.listener.connections == 1)
    assert link.is_open
    await pool.close()
    await gone


async def test_closing_is_bounded_even_with_a_peer_that_does_not_answer(site: Site) -> None:
    rig = await site.rig(close_timeout=0.2)
    async with RawLink.open(rig, site.member()) as deaf:
        deaf.stop_reading()
        await asyncio.wait_for(rig.listener.close(), 3)
