"""The calling side: one link for each host, dialled on demand, shared, bounded, closed when idle."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import AuthenticationError, HostError, RemoteHostError
from paglets.remote.wire.addresses import HostAddress
from tests.wire.site import NOTHING, Rig, Site, echo, until

if TYPE_CHECKING:
    from paglets.remote.wire.link import Link


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return opened.getsockname()[1]


async def test_calls_of_one_host_share_one_link(site: Site) -> None:
    greeted: list[Link] = []

    async def hello(link: Link) -> None:
        greeted.append(link)

    rig = await site.rig()
    pool = site.pool(hello=hello)
    await asyncio.gather(*(pool.call(rig.address, "echo", NOTHING, timeout=5) for _ in range(50)))
    assert len(greeted) == 1
    assert greeted[0].peer.host_id == rig.key.host_id


async def test_calls_that_wait_for_a_link_are_bounded(site: Site) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with contextlib.closing(silent):
        address = HostAddress(f"https://127.0.0.1:{silent.getsockname()[1]}")
        pool = site.pool(max_waiting_calls=2, dial_timeout=0.2)
        waiting = [pool.begin(address, "echo", b"{}") for _ in range(2)]
        with pytest.raises(RemoteHostError, match="too many calls wait"):
            pool.begin(address, "echo", b"{}")
        for each in waiting:
            with pytest.raises(RemoteHostError, match="did not answer in time"):
                await each
        with pytest.raises(RemoteHostError, match="did not answer in time"):
            await pool.begin(address, "echo", b"{}")


async def test_the_greeting_comes_first_and_may_refuse(site: Site) -> None:
    said: list[str] = []

    async def hello(link: Link) -> None:
        said.append((await link.call("echo", echo("hello"), timeout=5)).decode())
        if len(said) > 1:
            raise HostError("its store was restored")

    rig = await site.rig()
    pool = site.pool(hello=hello)
    await pool.call(rig.address, "echo", NOTHING, timeout=5)
    (await pool.link(rig.address)).close()
    with pytest.raises(HostError, match="its store was restored"):
        await pool.call(rig.address, "echo", NOTHING, timeout=5)
    assert said == ['"hello"', '"hello"']


async def test_a_greeting_without_an_answer_is_bounded(site: Site) -> None:
    async def hello(link: Link) -> None:
        await link.call("wait", NOTHING)

    rig = await site.rig()
    with pytest.raises(RemoteHostError, match="did not answer"):
        await site.pool(hello=hello, dial_timeout=0.2).call(rig.address, "echo", NOTHING, timeout=5)
    await until(lambda: not rig.running)


async def test_local_sockets_are_not_greeted(site: Site) -> None:
    async def hello(link: Link) -> None:
        raise AssertionError

    rig = await site.rig()
    assert await site.pool(hello=hello).call(HostAddress(rig.socket_url), "echo", NOTHING, timeout=5)


async def test_a_host_that_comes_back_is_called_again(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    await pool.call(rig.address, "echo", NOTHING, timeout=5)
    port, address = rig.listener.port, rig.address
    await rig.listener.close()
    with pytest.raises(RemoteHostError, match=f"cannot reach {address.url}: connection refused"):
        await pool.call(address, "echo", NOTHING, timeout=5)
    await rig.start(port=port)
    assert await pool.call(address, "echo", echo("back"), timeout=5) == b'"back"'
    await rig.listener.close()


async def test_one_of_many_addresses_is_enough(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    dead = [f"https://127.0.0.1:{free_port()}", "https://192.0.2.1:9", "not a url"]
    address = HostAddress(dead[0], rig.key.host_id, (*dead[1:], rig.address.url))
    assert await pool.call(address, "echo", echo("found"), timeout=5) == b'"found"'


async def test_another_host_at_the_first_address_does_not_hide_the_right_one(site: Site) -> None:
    rig, other, pool = await site.rig(), await site.rig(), site.pool()
    address = HostAddress(other.address.url, rig.key.host_id, (rig.address.url,))
    await pool.call(address, "echo", NOTHING, timeout=5)
    assert (await pool.link(address)).peer.host_id == rig.key.host_id


async def test_nobody_anywhere_is_an_error_that_names_the_host_and_why(site: Site) -> None:
    pool = site.pool(dial_timeout=0.5)
    port = free_port()
    with pytest.raises(RemoteHostError, match=f"cannot reach https://127.0.0.1:{port}: connection refused"):
        await pool.call(HostAddress(f"https://127.0.0.1:{port}"), "echo", NOTHING, timeout=5)
    with pytest.raises(RemoteHostError, match=r"no.such.host.invalid:1: its name cannot be resolved"):
        await pool.call(HostAddress("https://no.such.host.invalid:1"), "echo", NOTHING, timeout=5)
    with pytest.raises(RemoteHostError, match="no such socket; is the host running"):
        await pool.call(HostAddress(f"unix:{site.directory}/none.sock"), "echo", NOTHING, timeout=5)
    with pytest.raises(RemoteHostError, match="is no host URL"):
        await pool.call(HostAddress("ftp://x"), "echo", NOTHING, timeout=5)


async def test_what_answers_but_is_no_host_is_named_as_such(site: Site) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        with pytest.raises(RemoteHostError, match=f"{url} is no paglets host"):
            await site.pool().call(HostAddress(url), "echo", NOTHING, timeout=5)


async def test_a_host_that_accepts_and_says_nothing_is_given_up_in_time(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RemoteHostError, match="did not answer in time"):
            await site.pool(dial_timeout=0.2).call(HostAddress(url), "echo", NOTHING)
        with pytest.raises(RemoteHostError, match="did not answer in time"):
            await site.pool().call(HostAddress(url), "echo", NOTHING, timeout=0.1)


async def test_a_caller_that_gives_up_does_not_spoil_the_dial_for_others(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    first = asyncio.ensure_future(pool.call(rig.address, "echo", NOTHING))
    second = asyncio.ensure_future(pool.call(rig.address, "echo", echo("mine")))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == b'"mine"'


async def test_idle_links_and_streams_are_closed(site: Site) -> None:
    rig = await site.rig()
    pool = site.pool(link_idle_timeout=0.1, stream_idle_timeout=0.1)
    await pool.call(rig.address, "echo", NOTHING, timeout=5)
    link = await pool.link(rig.address)
    async with pool.stream(rig.address) as stream:
        await stream.send_header(b"{}")
        await stream.send_trailer(b"{}")
        await stream.verdict(5)
    assert stream.is_open
    await until(lambda: not link.is_open and not stream.is_open)
    assert await pool.call(rig.address, "echo", echo("again"), timeout=5) == b'"again"'


async def test_a_link_in_use_is_not_idle(site: Site) -> None:
    rig = await site.rig()
    pool = site.pool(link_idle_timeout=0.05)
    call = asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING))
    await asyncio.wait([call], timeout=0.3)
    rig.release.set()
    assert await call == b'"released"'


async def test_links_are_bounded_and_idle_ones_make_room(site: Site) -> None:
    rigs = [await site.rig() for _ in range(3)]
    pool = site.pool(max_links=2)
    for rig in rigs:
        await pool.call(rig.address, "echo", NOTHING, timeout=5)
    busy = [asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING)) for rig in rigs[1:]]
    await until(lambda: all(rig.running for rig in rigs[1:]))
    with pytest.raises(RemoteHostError, match="all 2 links"):
        await pool.call(rigs[0].address, "echo", NOTHING, timeout=5)
    for rig in rigs:
        rig.release.set()
    await asyncio.gather(*busy)


async def test_waiting_calls_of_a_link_are_bounded(site: Site) -> None:
    rig = await site.rig()
    pool = site.pool(max_waiting_calls=3)
    await pool.call(rig.address, "echo", NOTHING, timeout=5)
    calls = [asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING)) for _ in range(3)]
    await until(lambda: len(rig.running) == 3)
    with pytest.raises(RemoteHostError, match="too many calls wait"):
        await pool.call(rig.address, "echo", NOTHING, timeout=5)
    rig.release.set()
    await asyncio.gather(*calls)


async def test_a_closed_pool_says_so(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    await pool.close()
    with pytest.raises(RemoteHostError, match="this client is closed"):
        await pool.call(rig.address, "echo", NOTHING, timeout=5)
    with pytest.raises(RemoteHostError, match="this client is closed"):
        async with pool.stream(rig.address):
            pass


async def test_closing_while_dialling_leaves_nothing(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pool = site.pool()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        call = asyncio.ensure_future(pool.call(HostAddress(url), "echo", NOTHING))
        await asyncio.wait([call], timeout=0.05)
        await pool.close()
        with pytest.raises((asyncio.CancelledError, RemoteHostError)):
            await call


async def test_a_local_socket_is_no_way_to_a_host_whose_key_is_known(site: Site) -> None:
    rig = await site.rig()
    pool = site.pool()
    assert await pool.call(HostAddress(rig.socket_url), "echo", echo("x"), timeout=5) == b'"x"'
    with pytest.raises(AuthenticationError, match="local socket"):
        await pool.call(HostAddress(rig.socket_url, rig.key.host_id), "echo", NOTHING, timeout=5)
    with pytest.raises(AuthenticationError, match="local socket"):
        await pool.fetch(HostAddress(rig.socket_url, rig.key.host_id), "/health")


async def test_a_host_has_one_link_whether_it_is_called_by_url_or_by_key(site: Site) -> None:
    rig = await site.rig()
    pool = site.pool()
    by_url = await pool.link(HostAddress(rig.address.url))
    assert await pool.link(rig.address) is by_url
    assert rig.listener.connections == 1
    by_url.discard()
    await by_url.wait_closed()
    by_key = await pool.link(rig.address)
    assert by_key is not by_url
    assert await pool.link(HostAddress(rig.address.url)) is by_key


class Cable:
    """Between a caller and a host; pulled, it swallows everything, and nobody is told."""

    def __init__(self, port: int) -> None:
        self.pulled = False
        self._port = port

    async def plug(self, site: Site) -> str:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        site.stack.callback(server.close)
        return f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ways = [self._pump(reader, far_writer), self._pump(far_reader, writer)]
        try:
            await asyncio.gather(*ways)
        finally:
            writer.close()
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.pulled:
                    writer.write(data)
        writer.close()


async def test_a_link_that_is_doubted_stays_when_the_host_answers_and_is_cut_when_not(site: Site) -> None:
    rig = await site.rig()
    cable = Cable(rig.listener.port)
    url = await cable.plug(site)
    pool = site.pool(doubt_timeout=0.1)
    link = await pool.link(HostAddress(url, rig.key.host_id))
    pool.doubt(rig.key.host_id)
    await asyncio.sleep(0.2)
    assert link.is_open
    cable.pulled = True
    waiting = asyncio.ensure_future(link.call("echo", NOTHING))
    pool.doubt("somebody-else")
    pool.doubt(rig.key.host_id)
    with pytest.raises(RemoteHostError, match="silent"):
        await waiting
    assert not link.is_open
    again = await pool.link(rig.address)
    assert await again.call("echo", echo("x")) == b'"x"'


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
async def test_connections_that_begin_at_an_address_that_is_gone_are_cut(site: Site) -> None:
    rig = Rig(site.mesh, site.directory / "six")
    try:
        await rig.start(("::1",))
    except HostError as error:
        pytest.skip(str(error))
    site.stack.push_async_callback(rig.listener.close)
    pool = site.pool()
    link = await pool.link(rig.address)
    pool.rebind({"::1", "192.0.2.1"})
    await asyncio.sleep(0)
    assert link.is_open
    pool.rebind({"192.0.2.1"})
    await link.wait_closed()
    assert await pool.call(rig.address, "echo", echo("x"), timeout=5) == b'"x"'
