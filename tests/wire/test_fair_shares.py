"""No peer can take from the others what all of them share, and one that does not read costs a bounded amount."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, RemoteHostError
from tests.wire.raw_link import RawLink
from tests.wire.site import NOTHING, echo, until
from tests.wire.test_streams import rig_with

if TYPE_CHECKING:
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.pool import LinkPool
    from paglets.remote.wire.stream_server import IncomingStream
    from tests.wire.site import Rig, Site

MIB = 1024 * 1024


def used(rig: Rig, name: str) -> int:
    """How much of something is taken at that host."""
    return next(share.used for share in rig.listener.shares if share.name == name)


class Busy:
    """Takes every stream and does not end."""

    def __init__(self) -> None:
        self.taken = 0
        self.release = asyncio.Event()

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        self.taken += 1
        await self.release.wait()
        async for _ in stream:
            pass
        return b"{}"


async def opened(stack: AsyncExitStack, pool: LinkPool, rig: Rig, busy: Busy) -> int:
    """Open streams until one is refused; how many were taken."""
    before = busy.taken
    while True:
        taken = busy.taken
        stream = await stack.enter_async_context(pool.stream(rig.address))
        await stream.send_header(b"{}")
        verdict = asyncio.ensure_future(stream.verdict())
        await until(lambda taken=taken, verdict=verdict: busy.taken > taken or verdict.done())
        if busy.taken == taken:
            with pytest.raises(HostError, match="as many streams as it may"):
                await verdict
            return busy.taken - before
        verdict.cancel()


async def test_one_member_cannot_take_all_streams(site: Site) -> None:
    busy = Busy()
    rig = await rig_with(site, busy, max_streams=16)
    async with AsyncExitStack() as stack:
        assert await opened(stack, site.pool(), rig, busy) == 12
        assert await opened(stack, site.pool(), rig, busy) >= 2
        assert await opened(stack, site.pool(), rig, busy) >= 1
        busy.release.set()
    await until(lambda: not used(rig, "streams"))


async def test_one_member_cannot_take_all_connections(site: Site) -> None:
    rig = await site.rig(max_connections=8)
    greedy, modest = site.member(), site.pool()
    pools = [site.pool(greedy) for _ in range(8)]
    for pool in pools[:4]:
        await pool.call(rig.address, "echo", NOTHING, timeout=5)
    with pytest.raises(HostError, match="too many connections"):
        await pools[4].call(rig.address, "echo", NOTHING, timeout=5)
    await modest.call(rig.address, "echo", NOTHING, timeout=5)


async def test_the_local_socket_is_open_when_members_have_taken_all_connections(site: Site) -> None:
    rig = await site.rig(max_connections=2)
    for _ in range(2):
        await site.pool().call(rig.address, "echo", NOTHING, timeout=5)
    with pytest.raises(HostError, match="too many connections"):
        await site.pool().call(rig.address, "echo", NOTHING, timeout=5)
    async with asyncio.timeout(5):
        _, writer = await asyncio.open_unix_connection(rig.socket_url.removeprefix("unix:"))
        reader = _
        writer.write(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
        assert b"200" in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_one_member_cannot_take_all_subscriptions(site: Site) -> None:
    rig = await site.rig(max_subscriptions_here=8)
    greedy, modest = site.pool(), site.pool()

    def nothing(_event: bytes | None, _why: str) -> None:
        return

    stops = [await greedy.subscribe(rig.address, "events", NOTHING, nothing, timeout=5) for _ in range(4)]
    with pytest.raises(HostError, match="the host has as many subscriptions"):
        await greedy.subscribe(rig.address, "events", NOTHING, nothing, timeout=5)
    await modest.subscribe(rig.address, "events", NOTHING, nothing, timeout=5)
    stops[0]()
    await until(lambda: rig.stopped == 1)
    await greedy.subscribe(rig.address, "events", NOTHING, nothing, timeout=5)
    await greedy.close()
    await until(lambda: used(rig, "subscriptions") == 1)


async def test_one_members_calls_do_not_fill_the_memory_for_those_of_others(site: Site) -> None:
    rig = await site.rig(max_call_bytes=8 * MIB)
    greedy, modest = site.pool(), site.pool()
    calls = [
        asyncio.ensure_future(greedy.call(rig.address, "wait", echo("x" * MIB), timeout=10)) for _ in range(6)
    ]
    await until(lambda: sum(call.done() for call in calls) + len(rig.running) == 6)
    refused = [call for call in calls if call.done()]
    assert 2 <= len(refused) < 6
    for call in refused:
        with pytest.raises(HostError, match="too many calls wait"):
            await call
    assert await modest.call(rig.address, "echo", echo("y" * MIB), timeout=5)
    rig.release.set()
    await asyncio.gather(*(call for call in calls if call not in refused))
    await until(lambda: not used(rig, "bytes of calls by peers"))
    assert await greedy.call(rig.address, "echo", echo("y" * MIB), timeout=5), "it is over"


async def test_a_subscriber_that_does_not_read_holds_no_more_than_its_bytes(site: Site) -> None:
    rig = await site.rig(subscription_bytes=MIB)
    async with RawLink.open(rig, site.member()) as link:
        await link.ask(b'{"jsonrpc":"2.0","method":"events","id":1}')
        link.stop_reading()
        pushed = 0
        while not rig.stopped:
            rig.pushes[0]("x" * 50_000)
            pushed += 1
            assert pushed < 900, "the bytes end it long before the number does"
            await asyncio.sleep(0)
        link.channel.release_reading()
        while (frame := await link.next())["method"] == "event":
            pass
        assert "too slow" in frame["params"]["reason"]


async def test_answers_for_a_peer_that_does_not_read_are_dropped_and_it_is_told(site: Site) -> None:
    rig = await site.rig(max_unsent=4 * MIB)
    async with RawLink.open(rig, site.member()) as link:
        for number in range(100):
            link.send(b'{"jsonrpc":"2.0","method":"wait.large","id":%d,"params":{"number":1000000}}' % number)
        await until(lambda: rig.listener.calls == 100)
        link.stop_reading()
        rig.release.set()
        await until(lambda: not rig.listener.calls)
        assert 2 * MIB < rig.listener.crowd.unsent <= 5 * MIB
        await site.pool().call(rig.address, "echo", NOTHING, timeout=5)  # the others are served meanwhile
        link.channel.release_reading()
        answers = [await link.next() for _ in range(100)]
        given = [answer for answer in answers if "result" in answer]
        told = [answer["error"]["message"] for answer in answers if "error" in answer]
        assert given
        assert told
        assert all("was carried out, but its answer" in message for message in told)
        assert (await link.ask(b'{"jsonrpc":"2.0","method":"double","id":1,"params":{"number":4}}'))["result"]


async def test_calls_to_a_host_that_does_not_read_wait_and_do_not_pile_up(site: Site) -> None:
    rig, pool = await site.rig(), site.pool(max_unsent=2 * MIB)
    link = await pool.link(rig.address)
    (channel,) = rig.listener.crowd
    channel.hold_reading()
    calls = [asyncio.ensure_future(link.call("echo", echo("x" * MIB), timeout=20)) for _ in range(50)]
    await until(lambda: not link.is_ready)
    for _ in range(100):
        await asyncio.sleep(0)
    assert link.unsent <= 4 * MIB
    with pytest.raises(RemoteHostError, match="bytes wait to be sent"):
        await link.call_soon("echo", b'"' + b"x" * 2 * MIB + b'"', 5)
    channel.release_reading()
    answers = await asyncio.gather(*calls)
    assert all(len(answer) == MIB + 2 for answer in answers)


async def test_readers_that_do_not_take_what_they_asked_for_are_refused_more(site: Site) -> None:
    rig = await site.rig(max_responses_bytes=8 * MIB)
    path = rig.socket_url.removeprefix("unix:")
    async with AsyncExitStack() as stack:

        async def ask() -> asyncio.StreamReader:
            reader, writer = await asyncio.open_unix_connection(path, limit=1024)
            stack.callback(writer.close)
            writer.write(b"GET /large?size=3000000 HTTP/1.1\r\nHost: here\r\n\r\n")
            return reader

        async with asyncio.timeout(10):
            readers = [await ask() for _ in range(4)]
            lines = [await reader.readline() for reader in readers]
            assert sum(b"200" in line for line in lines) == 1
            assert sum(b"503" in line for line in lines) == 3
            assert await site.pool().fetch(rig.address, "/large?size=3000000"), "another peer has its share"
    await until(lambda: not rig.listener.connections)
