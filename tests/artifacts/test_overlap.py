"""What blocks is done beside what waits for the network: in order, one step at a time, and ended before its caller."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from paglets.artifacts.refs import ArtifactRef
from paglets.artifacts.spool import Spool
from paglets.core.errors import RemoteHostError, StorageQuotaError, TransferError
from paglets.remote.bulk import pulling
from paglets.remote.bulk.ends import BLOCK, MOST_PARTS, FileSink
from paglets.remote.bulk.frames import sign_bulk_trailer
from paglets.remote.bulk.overlap import Overlap, ahead
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.signers import Signer
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.stream_server import IncomingStream
from paglets.runtime.artifacts.uploads import BLOCK as UPLOAD_BLOCK
from paglets.runtime.artifacts.uploads import Upload, Uploads
from paglets.runtime.artifacts.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from pathlib import Path

    from paglets.remote.wire.bulk_stream import BulkStream
    from paglets.remote.wire.pool import LinkPool

BOUND = 20.0


async def off(function: object) -> None:
    assert callable(function)
    await asyncio.to_thread(function)


class Held:
    """Steps that say when they are done; the first of them waits until it may go on."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.go_on = threading.Event()
        self.second_done = threading.Event()

    def first(self) -> None:
        assert self.go_on.wait(BOUND)
        self.done.append(1)

    def second(self) -> None:
        self.done.append(2)
        self.second_done.set()

    def third(self) -> None:
        self.done.append(3)


@pytest.fixture
def held() -> Held:
    return Held()


async def test_a_step_begins_when_the_one_before_has_ended(held: Held) -> None:
    async with Overlap(off) as steps:
        await steps.start(held.first)
        await steps.start(held.second)
        third = asyncio.ensure_future(steps.start(held.third))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not third.done(), "one waits already"
        held.go_on.set()
        await third
    assert held.done == [1, 2, 3]


async def test_a_step_that_waits_is_begun_without_the_loop(held: Held) -> None:
    async with Overlap(off) as steps:
        await steps.start(held.first)
        await asyncio.sleep(0)  # it begins
        await steps.start(held.second)
        held.go_on.set()
        assert held.second_done.wait(BOUND), "the loop does something else meanwhile"


async def test_a_caller_that_waits_goes_on_when_one_step_has_ended(held: Held) -> None:
    handed_over = threading.Event()

    def second() -> None:
        assert handed_over.wait(BOUND), "the caller waits for the end of all steps"

    async with Overlap(off) as steps:
        await steps.start(held.first)
        await steps.start(second)
        third = asyncio.ensure_future(steps.start(held.third))
        await asyncio.sleep(0)
        held.go_on.set()
        await third
        handed_over.set()
    assert held.done == [1, 3]


async def test_a_step_is_taken_long_after_the_one_before(held: Held) -> None:
    held.go_on.set()
    async with Overlap(off) as steps:
        for step in (held.first, held.second, held.third):
            await steps.start(step)
            await steps.wait()
    assert held.done == [1, 2, 3]


async def test_what_was_handed_over_is_done_when_its_caller_is_cancelled_and_nothing_else(held: Held) -> None:
    async def work() -> None:
        async with Overlap(off) as steps:
            for step in (held.first, held.second, held.third):
                await steps.start(step)

    task = asyncio.ensure_future(work())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    held.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held.done == [1, 2]


async def test_nobody_waits_for_steps_that_cannot_be_begun(held: Held) -> None:
    async def refuse(_function: object) -> None:
        raise RuntimeError("no threads any more")

    async def work() -> None:
        async with Overlap(refuse) as steps:
            for step in (held.first, held.second, held.third):
                await steps.start(step)

    async with asyncio.timeout(BOUND):
        with pytest.raises(RuntimeError, match="no threads any more"):
            await work()
    assert held.done == []


@pytest.mark.parametrize("last", [True, False])
async def test_what_a_step_raises_is_raised_by_the_next_or_at_the_end(last: bool) -> None:
    after: list[str] = []

    def full() -> None:
        raise StorageQuotaError("full")

    async def work() -> None:
        async with Overlap(off) as steps:
            await steps.start(full)
            if not last:
                await steps.start(lambda: after.append("not done"))

    with pytest.raises(StorageQuotaError):
        await work()
    assert after == []


async def test_no_step_is_done_after_one_that_failed_and_that_the_loop_has_not_heard_of(held: Held) -> None:
    def full() -> None:
        raise StorageQuotaError("full")

    async def work(pool: ThreadPoolExecutor) -> None:
        async def run(function: Callable[[], None]) -> None:
            await asyncio.get_running_loop().run_in_executor(pool, function)

        async with Overlap(run) as steps:
            await steps.start(full)
            await asyncio.sleep(0)
            pool.submit(str).result(BOUND)  # the only thread is behind that step
            await steps.start(held.third)

    with ThreadPoolExecutor(1) as pool, pytest.raises(StorageQuotaError):
        await work(pool)
    assert held.done == []


async def test_what_its_caller_raises_comes_before_what_a_step_raises() -> None:
    def full() -> None:
        raise StorageQuotaError("full")

    async def work() -> None:
        async with Overlap(off) as steps:
            await steps.start(full)
            raise RemoteHostError("lost")

    with pytest.raises(RemoteHostError):
        await work()


async def test_others_who_wait_for_the_thread_have_their_turn() -> None:
    done: list[str] = []
    next_is_here = threading.Semaphore(0)

    begun = threading.Event()

    def step() -> None:
        begun.set()
        assert next_is_here.acquire(timeout=BOUND)
        done.append("step")

    async def feed(steps: Overlap) -> None:
        await steps.start(step)
        for _ in range(19):
            await steps.start(step)
            next_is_here.release()
        next_is_here.release()

    with ThreadPoolExecutor(1) as pool:

        async def run(function: Callable[[], None]) -> None:
            await asyncio.get_running_loop().run_in_executor(pool, function)

        async with asyncio.timeout(BOUND), Overlap(run) as steps:
            feeding = asyncio.ensure_future(feed(steps))
            await asyncio.to_thread(begun.wait, BOUND)
            other = pool.submit(done.append, "other")
            await feeding
        other.result(BOUND)
    assert done.count("step") == 20
    assert done.index("other") < 20, "it waits until there is nothing else to do"


async def test_a_wait_that_is_cancelled_leaves_nothing_at_work(held: Held) -> None:
    async def work() -> None:
        async with Overlap(off) as steps:
            await steps.start(held.first)
            await steps.wait()

    task = asyncio.ensure_future(work())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    held.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held.done == [1]


async def test_a_step_under_way_is_waited_for_when_its_caller_is_cancelled_or_fails() -> None:
    ended = threading.Event()
    go_on = threading.Event()

    def step() -> None:
        assert go_on.wait(BOUND)
        ended.set()

    async def work() -> None:
        async with Overlap(off) as steps:
            await steps.start(step)
            try:
                await asyncio.Event().wait()
            finally:
                asyncio.get_running_loop().call_soon(go_on.set)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.0)
    for _ in range(2):  # the second time while it waits for the step
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set(), "nothing may be at work on a file that is closed then"


async def test_reading_ahead_ends_with_its_reader() -> None:
    reads = 0
    go_on = asyncio.Event()

    async def read() -> int:
        nonlocal reads
        reads += 1
        if reads == 2:
            await go_on.wait()
        return reads

    async with aclosing(ahead(read)) as numbers:
        async for number in numbers:
            assert number == 1
            await asyncio.sleep(0)
            assert reads == 2, "the next one is under way while one is used"
            go_on.set()
            break
    assert reads == 2


class Slow:
    """Takes content; its first write waits until more was asked for than it has."""

    def __init__(self, more_asked_for: threading.Event) -> None:
        self.received = 0
        self._more = more_asked_for

    def write(self, data: bytes) -> None:
        assert self._more.wait(BOUND), "the sender has to wait until this is written"
        self.received += len(data)

    def discard(self) -> None:
        """Nothing to drop."""


@pytest.fixture
async def uploads() -> AsyncIterator[Uploads[Slow]]:
    workers = Workers("test")
    yield Uploads(Spool(), workers)
    await workers.aclose()


def frames(count: int, more: threading.Event, *, lost: bool = False, before: int = 0) -> IncomingStream:
    """A stream of as many blocks; ``more``: set when the second is asked for. ``lost``: it breaks off behind them.

    ``before``: blocks that came over an earlier one.
    """

    async def take() -> AsyncIterator[bytes]:
        for number in range(count):
            if number == 1:
                more.set()
            yield bytes(UPLOAD_BLOCK)
        if lost:
            raise TransferError("broke off")
        stream.trailer = sign_bulk_trailer(
            Signer(KEY, ""), "0" * 64, size=(before + count) * UPLOAD_BLOCK, digest=bytes(32)
        )

    async def send(data: bytes | memoryview, *, text: bool) -> None:
        del data, text

    stream = IncomingStream(b"", take, send, 10 * UPLOAD_BLOCK)
    return stream


KEY = HostKey.generate()


def upload(taking: Slow, count: int) -> Upload[Slow]:
    return Upload(
        peer="peer",
        upload_id="one",
        header_digest="0" * 64,
        signer_id=KEY.host_id,
        size=count * UPLOAD_BLOCK,
        begin=lambda: taking,
        complete=lambda _taking, _trailer: b"{}",
    )


async def test_a_push_is_received_while_it_is_written(uploads: Uploads[Slow]) -> None:
    more = threading.Event()
    taking = Slow(more)
    async with asyncio.timeout(BOUND):
        assert await uploads.take(frames(3, more), upload(taking, 3)) == b"{}"
    assert taking.received == 3 * UPLOAD_BLOCK


async def test_a_push_in_small_pieces_is_written_before_there_are_too_many_of_them(
    uploads: Uploads[Slow],
) -> None:
    asked = 0
    begun: list[int] = []

    class Watching(Slow):
        def write(self, data: bytes) -> None:
            begun.append(asked)
            self.received += len(data)

    async def take() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(6 * MOST_PARTS):
            asked += 1
            yield b"x"
        size = 6 * MOST_PARTS
        stream.trailer = sign_bulk_trailer(Signer(KEY, ""), "0" * 64, size=size, digest=bytes(32))

    async def send(data: bytes | memoryview, *, text: bool) -> None:
        del data, text

    stream = IncomingStream(b"", take, send, UPLOAD_BLOCK)
    taking = Watching(threading.Event())
    small = dataclasses.replace(upload(taking, 0), size=6 * MOST_PARTS)
    async with asyncio.timeout(BOUND):
        await uploads.take(stream, small)
    assert taking.received == 6 * MOST_PARTS
    assert begun[0] <= 3 * MOST_PARTS, "the first of them are not kept until the last are here"


async def test_a_push_that_breaks_off_is_kept_as_far_as_it_came(uploads: Uploads[Slow]) -> None:
    more = threading.Event()
    taking = Slow(more)
    async with asyncio.timeout(BOUND):
        with pytest.raises(TransferError, match="broke off"):
            await uploads.take(frames(2, more, lost=True), upload(taking, 3))
        assert taking.received == 2 * UPLOAD_BLOCK, "all of it is written before the sender can come back"
        await uploads.take(frames(1, more, before=2), upload(Slow(more), 3))
    assert taking.received == 3 * UPLOAD_BLOCK, "it goes on with what is here"


async def test_a_push_that_does_not_fit_is_not_kept_although_its_sender_is_gone(
    uploads: Uploads[Slow],
) -> None:
    class Full(Slow):
        discarded = 0

        def write(self, data: bytes) -> None:
            raise TransferError(f"{len(data)} bytes more than were announced")

        def discard(self) -> None:
            self.discarded += 1

    more = threading.Event()
    taking = Full(more)
    with pytest.raises(TransferError, match="announced"):
        await uploads.take(frames(1, more, lost=True), upload(taking, 3))
    assert taking.discarded == 1


class Frames:
    """The other side of a pull, which says when the second block is asked for."""

    url = "https://there"

    def __init__(self, count: int, more: threading.Event) -> None:
        self._left = count
        self._first = count
        self._more = more

    async def next(self) -> tuple[bool, bytes]:
        if self._left == self._first - 1:
            self._more.set()
        if not self._left:
            return True, b"trailer"
        self._left -= 1
        return False, bytes(BLOCK)


async def test_a_pull_is_received_while_it_is_written_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = threading.Event()
    synced: list[int] = []
    monkeypatch.setattr(pulling, "_SYNCED_AT_ONCE", 2 * BLOCK)

    class SlowSink(FileSink):
        def write(self, parts: list[bytes]) -> None:
            assert more.wait(BOUND)
            super().write(parts)

        def sync(self) -> None:
            super().sync()
            synced.append(self.received)

    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    told: list[tuple[int, int]] = []
    ref = ArtifactRef("https://there", "a" * 32, size_bytes=5 * BLOCK)
    try:
        stream = cast("BulkStream", Frames(5, more))
        sink = SlowSink(descriptor)
        async with asyncio.timeout(BOUND):
            trailer = await pulling.take(stream, ref, sink, lambda done, total: told.append((done, total)))
    finally:
        os.close(descriptor)
    assert trailer == b"trailer"
    assert sink.received == (tmp_path / "file").stat().st_size == 5 * BLOCK
    assert told[-1] == (5 * BLOCK, 5 * BLOCK)
    assert len(synced) == 2


async def test_work_that_is_not_divided_is_waited_for_however_often_its_caller_is_cancelled() -> None:
    """It may be at work on a descriptor, whose number is somebody else's as soon as the caller lets go of it."""
    workers, begun, go_on = Workers("test"), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(BOUND)

    caller = asyncio.ensure_future(workers.undivided(work))
    assert await asyncio.to_thread(begun.wait, BOUND)
    for _ in range(3):
        caller.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not caller.done()
    go_on.set()
    await asyncio.wait([caller])
    assert caller.cancelled()
    await workers.aclose()


def test_what_is_pulled_is_written_in_however_many_pieces_it_comes(tmp_path: Path) -> None:
    content = os.urandom(1000)
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    sink = FileSink(descriptor)
    try:
        for start in range(0, 1000, 200):
            pieces = [content[at : at + 1] for at in range(start, start + 200)]
            sink.write(pieces)
            assert sink.received == start, "not hashed yet"
            sink.hash(pieces)
    finally:
        os.close(descriptor)
    assert sink.received == 1000
    assert (tmp_path / "file").read_bytes() == content
    assert sink.digest == hashlib.sha256(content).digest()


async def test_what_could_not_be_written_is_said_also_when_the_connection_is_lost(tmp_path: Path) -> None:
    """Else it would go on with bytes that are hashed, and not those that are written."""
    dialled: list[object] = []

    class Pool:
        @asynccontextmanager
        async def bulk(self, address: object) -> AsyncGenerator[BulkStream]:
            dialled.append(address)
            raise RemoteHostError("the connection was lost")
            yield

    path = tmp_path / "file"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)  # nothing can be written to it
    reader, writer = os.pipe()  # nor synced to this
    try:
        failed, half, unsynced = FileSink(descriptor), FileSink(descriptor), FileSink(writer)
        with pytest.raises(OSError, match="Bad file descriptor"):
            failed.write([b"x"])
        half.hash([b"x"])
        with pytest.raises(OSError, match="Invalid argument"):
            unsynced.sync()
        pool, host = cast("LinkPool", Pool()), HostAddress("https://there:1")
        with pytest.raises(OSError, match="Bad file descriptor"):
            await pulling.pull(pool, host, Signer(KEY, ""), "a" * 32, failed)
        with pytest.raises(TransferError, match="1 bytes came, and 0 are written"):
            await pulling.pull(pool, host, Signer(KEY, ""), "a" * 32, half)
        with pytest.raises(OSError, match="Invalid argument"):
            await pulling.pull(pool, host, Signer(KEY, ""), "a" * 32, unsynced)
    finally:
        for each in (descriptor, reader, writer):
            os.close(each)
    assert len(dialled) == 3, "it was not tried again"


def test_a_write_that_the_system_takes_in_parts_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = itertools.cycle([7, 3, 13, 1])
    first, second = [b"0123456789", b"", b"abcdefghij", b"k"], [b"", b"lmnopqrstuvwxyz"]

    def in_parts(file: int, parts: list[memoryview], at: int) -> int:
        return os.pwrite(file, b"".join(parts)[: next(sizes)], at)

    monkeypatch.setattr(os, "pwritev", in_parts)
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        sink = FileSink(descriptor)
        for parts in (first, second):
            sink.write(parts)
            sink.hash(parts)
    finally:
        os.close(descriptor)
    content = b"0123456789abcdefghijklmnopqrstuvwxyz"
    assert (tmp_path / "file").read_bytes() == content
    assert (sink.received, sink.digest) == (len(content), hashlib.sha256(content).digest())


def test_more_parts_than_the_system_takes_at_once_are_written(tmp_path: Path) -> None:
    most = os.sysconf("SC_IOV_MAX")
    assert most >= MOST_PARTS
    parts = [b"%d," % number for number in range(2 * most + 1)]
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        FileSink(descriptor).write(parts)
    finally:
        os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"".join(parts)


async def test_what_comes_in_small_pieces_is_written_before_there_are_too_many_of_them(
    tmp_path: Path,
) -> None:
    pieces = [bytes([number % 251]) * (number % 3) for number in range(5 * MOST_PARTS)]
    coming = iter([*((False, piece) for piece in pieces), (True, b"trailer")])
    most = 0

    class Stream:
        url = "https://there"

        async def next(self) -> tuple[bool, bytes]:
            return next(coming)

    class CountingSink(FileSink):
        def write(self, parts: list[bytes]) -> None:
            nonlocal most
            most = max(most, len(parts))
            super().write(parts)

    content = b"".join(pieces)
    ref = ArtifactRef("https://there", "a" * 32, size_bytes=len(content))
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        sink = CountingSink(descriptor)
        async with asyncio.timeout(BOUND):
            assert await pulling.take(cast("BulkStream", Stream()), ref, sink, None) == b"trailer"
    finally:
        os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == content
    assert sink.digest == hashlib.sha256(content).digest()
    assert most == MOST_PARTS
