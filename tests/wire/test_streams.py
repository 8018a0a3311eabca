"""Transfers over streams: whole, refused, broken off, bounded in memory."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from asyncio import sslproto
from typing import TYPE_CHECKING, Any

import pytest
from websockets.frames import Frame, Opcode

from paglets.core.errors import ForbiddenError, HostError, RemoteHostError, TransferError
from paglets.remote.wire.settings import CHUNK_BYTES, STREAM_PATH
from paglets.remote.wire.strangers import Refusal
from tests.wire.raw_link import RawLink
from tests.wire.site import Rig, Site, echo, until

if TYPE_CHECKING:
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.stream_client import OutgoingStream
    from paglets.remote.wire.stream_server import IncomingStream

HEADER = b'{"header":1}'
TRAILER = b'{"trailer":1}'


async def rig_with(site: Site, handler: Any, **changes: Any) -> Rig:
    rig = await site.rig(**changes)
    await rig.listener.close()
    rig.sink = handler
    await rig.start()
    site.stack.push_async_callback(rig.listener.close)
    return rig


async def send_a_gigabyte(stream: OutgoingStream) -> None:
    for _ in range(4096):
        await stream.send_chunk(bytes(CHUNK_BYTES))


class Recorder:
    """A handler whose end a test can look at."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.stream: IncomingStream | None = None
        self.ended = asyncio.Event()

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        self.stream = stream
        try:
            return await self.take(peer, stream)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()

    async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
        async for _ in stream:
            pass
        return b'"taken"'


async def test_a_transfer_arrives_whole_and_gets_its_verdict(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    payload = bytes(range(256)) * 4096  # 1 MiB: four chunks
    async with pool.stream(rig.address) as stream:
        assert stream.peer.host_id == rig.key.host_id
        await stream.send_header(HEADER)
        await stream.send_chunk(memoryview(payload))
        await stream.send_chunk(b"tail")
        assert not stream.trailer_left
        await stream.send_trailer(TRAILER)
        assert stream.trailer_left
        verdict = json.loads(await stream.verdict(5))
    assert verdict == {"received": len(payload) + 4, "trailer": {"trailer": 1}}


async def test_streams_read_much_at_once_whatever_their_program_gives_to_connections(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, offered = 16 * 1024, set[int]()
    both = {small, 256 * 1024}
    get_buffer = sslproto.SSLProtocol.get_buffer

    def watched(tls: sslproto.SSLProtocol, wanted: int) -> memoryview:
        buffer = get_buffer(tls, wanted)
        offered.add(len(buffer))
        return buffer

    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", small)
    monkeypatch.setattr(sslproto.SSLProtocol, "get_buffer", watched)
    rig, pool = await site.rig(), site.pool()
    await pool.call(rig.address, "echo", echo("hello"), timeout=5)
    assert offered == {small}
    offered.clear()
    for size, buffers in ((100, [{small}]), (CHUNK_BYTES, [{small}, both]), (CHUNK_BYTES, [both])):
        async with pool.stream(rig.address) as stream:
            await stream.send_header(HEADER)
            await stream.send_chunk(bytes(size))
            await stream.send_trailer(TRAILER)
            await stream.verdict(5)
        assert offered in buffers, "small for whoever sends, and until something large has come"
    offered.clear()
    await pool.call(rig.address, "echo", echo("hello"), timeout=5)
    assert offered == {small}


async def test_a_flood_of_small_frames_is_cut_off(site: Site) -> None:
    recorder = Recorder()
    rig = await rig_with(site, recorder)
    async with RawLink.open(rig, site.member(), STREAM_PATH) as link:
        link.send(HEADER)
        link.channel.transport.write(Frame(Opcode.BINARY, b"").serialize(mask=True) * 20_000)
        await asyncio.wait_for(recorder.ended.wait(), 5)
    assert isinstance(recorder.error, TransferError)
    assert "flood of small frames" in str(recorder.error)
    assert [report.reason for report in rig.reports] == [Refusal.BAD_FRAMES]


async def test_a_clean_connection_is_used_again_and_an_unclean_one_is_not(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    used: list[object] = []
    for _ in range(3):
        async with pool.stream(rig.address) as stream:
            used.append(stream)
            await stream.send_header(HEADER)
            await stream.send_trailer(TRAILER)
            await stream.verdict(5)
    assert len(set(map(id, used))) == 1
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)  # given up here
    async with pool.stream(rig.address) as other:
        assert other is not stream


async def test_transfers_at_a_time_have_connections_of_their_own(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()

    async def transfer(size: int) -> int:
        async with pool.stream(rig.address) as stream:
            await stream.send_header(HEADER)
            await stream.send_chunk(b"x" * size)
            await stream.send_trailer(TRAILER)
            return json.loads(await stream.verdict(5))["received"]

    sizes = [1, 1000, 300_000, 900_000, 5]
    assert await asyncio.gather(*map(transfer, sizes)) == sizes


async def test_a_refusal_is_noticed_while_sending(site: Site) -> None:
    class Refusing(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            await anext(aiter(stream))
            raise ForbiddenError("no more room for you")

    rig, pool = await rig_with(site, Refusing()), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        with pytest.raises(ForbiddenError, match="no more room"):
            await send_a_gigabyte(stream)
        assert not stream.trailer_left


async def test_a_refusal_before_the_trailer_means_that_nothing_of_it_has_left(site: Site) -> None:
    class Refusing(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            raise ForbiddenError("not you")

    rig, pool = await rig_with(site, Refusing()), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        with pytest.raises(ForbiddenError, match="not you"):
            await stream.verdict(5)
        with pytest.raises(ForbiddenError, match="not you"):
            await stream.send_trailer(TRAILER)
        assert not stream.trailer_left


async def test_a_trailer_on_a_dead_connection_has_not_left(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        await rig.listener.close()
        await until(lambda: not stream.is_open)
        with pytest.raises(RemoteHostError, match="broke off"):
            await stream.send_trailer(TRAILER)
        assert not stream.trailer_left


async def test_a_verdict_that_never_comes_leaves_the_trailer_left(site: Site) -> None:
    class Silent(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            await super().take(peer, stream)
            await asyncio.Event().wait()
            raise AssertionError

    recorder = Silent()
    rig, pool = await rig_with(site, recorder), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        await stream.send_trailer(TRAILER)
        with pytest.raises(RemoteHostError, match="no verdict in time"):
            await stream.verdict(0.05)
        assert stream.trailer_left
    await rig.listener.close()
    await asyncio.wait_for(recorder.ended.wait(), 5)
    assert isinstance(recorder.error, asyncio.CancelledError)


async def test_a_sender_that_goes_ends_the_handler(site: Site) -> None:
    recorder = Recorder()
    rig, pool = await rig_with(site, recorder), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        await stream.send_chunk(b"half of it")
        await until(lambda: recorder.stream)
    await asyncio.wait_for(recorder.ended.wait(), 5)
    assert isinstance(recorder.error, TransferError)
    assert recorder.stream is not None
    assert recorder.stream.trailer == b""


async def test_a_silent_sender_ends_the_handler(site: Site) -> None:
    recorder = Recorder()
    rig, pool = await rig_with(site, recorder, stream_idle_timeout=0.5), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        with pytest.raises(TransferError, match="went silent"):
            await stream.verdict(5)
    assert isinstance(recorder.error, TransferError)


async def test_more_than_was_announced_is_refused(site: Site) -> None:
    class Expecting(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            stream.expect(100)
            return await super().take(peer, stream)

    rig, pool = await rig_with(site, Expecting()), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        await stream.send_chunk(b"x" * 100)
        await stream.send_chunk(b"x")
        with pytest.raises(TransferError, match="larger than announced"):
            await stream.verdict(5)
    assert [report.reason for report in rig.reports] == [Refusal.BAD_FRAMES]


async def test_headers_and_chunks_are_bounded(site: Site) -> None:
    rig = await site.rig(max_header_bytes=1000)
    async with RawLink.open(rig, site.member(), STREAM_PATH) as link:
        assert "refused" in await link.ask(b'"%b"' % (b"x" * 1001))
    async with RawLink.open(rig, site.member(), STREAM_PATH) as link:
        link.send(HEADER)
        link.channel.send_binary(bytes(CHUNK_BYTES + 1))
        assert await link.closed()
    async with RawLink.open(rig, site.member(), STREAM_PATH) as link:
        link.channel.send_binary(b"a chunk first")
        assert "refused" in await link.next()


async def test_open_streams_are_bounded(site: Site) -> None:
    class Waiting(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            await release.wait()
            return await super().take(peer, stream)

    release = asyncio.Event()
    rig, pool = await rig_with(site, Waiting(), max_streams=1), site.pool()
    async with pool.stream(rig.address) as first, pool.stream(rig.address) as second:
        await first.send_header(HEADER)
        await second.send_header(HEADER)
        with pytest.raises(HostError, match="as many streams as it may"):
            await asyncio.wait_for(asyncio.gather(first.verdict(), second.verdict()), 5)
        release.set()


async def test_a_handlers_mistake_refuses_the_transfer(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            raise ZeroDivisionError("a mistake")

    rig, pool = await rig_with(site, Broken()), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        with pytest.raises(HostError, match="ZeroDivisionError"):
            await stream.verdict(5)
    assert "a transfer failed" in caplog.text


async def test_a_slow_receiver_slows_the_sender_down(site: Site) -> None:
    class Slow(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            await release.wait()
            return await super().take(peer, stream)

    release = asyncio.Event()
    rig, pool = await rig_with(site, Slow()), site.pool()
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 256:
                await stream.send_chunk(bytes(CHUNK_BYTES))
                sent += 1
            await stream.send_trailer(TRAILER)

        sending = asyncio.ensure_future(send())
        await asyncio.wait([sending], timeout=0.3)
        assert sent < 128  # 64 MiB are not on their way when nobody takes them
        release.set()
        await asyncio.wait_for(sending, 10)
        assert await stream.verdict(5) == b'"taken"'


async def test_a_stalled_receiver_is_given_up(site: Site) -> None:
    class Stalled(Recorder):
        async def take(self, peer: Peer, stream: IncomingStream) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

    rig = await rig_with(site, Stalled())
    pool = site.pool(stream_idle_timeout=0.2)
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        with pytest.raises(RemoteHostError, match="takes no more data"):
            await send_a_gigabyte(stream)
        assert not stream.trailer_left


async def test_64_mib_move_through_a_few_mib_of_memory(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    chunk = bytes(CHUNK_BYTES)
    async with pool.stream(rig.address) as stream:
        await stream.send_header(HEADER)
        tracemalloc.start()
        try:
            for _ in range(256):
                await stream.send_chunk(chunk)
            await stream.send_trailer(TRAILER)
            assert json.loads(await stream.verdict(20))["received"] == 256 * CHUNK_BYTES
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 12 * 1024 * 1024


async def test_a_cancelled_transfer_leaves_no_connection(site: Site) -> None:
    recorder = Recorder()
    rig, pool = await rig_with(site, recorder), site.pool()

    async def transfer() -> None:
        async with pool.stream(rig.address) as stream:
            await stream.send_header(HEADER)
            await asyncio.Event().wait()

    sending = asyncio.ensure_future(transfer())
    await until(lambda: recorder.stream)
    sending.cancel()
    await asyncio.wait([sending])
    await asyncio.wait_for(recorder.ended.wait(), 5)
    assert isinstance(recorder.error, TransferError)
