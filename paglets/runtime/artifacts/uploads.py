"""Content that comes in over a stream: resumed where it broke off, checked, and completed once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from paglets.artifacts.spool import Receiving, Spool
from paglets.core.errors import TransferError
from paglets.remote.bulk.ends import MOST_PARTS
from paglets.remote.bulk.frames import BulkTrailer, verify_bulk_trailer
from paglets.remote.bulk.overlap import Overlap
from paglets.remote.trust.errors import PayloadMismatchError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from paglets.remote.wire.stream_server import IncomingStream
    from paglets.runtime.artifacts.workers import Workers

BLOCK = 2 * 1024 * 1024
"""What is handed to a thread at a time: what the store writes in one transaction."""


class Taking(Receiving, Protocol):
    """Content on its way to where it is kept."""

    def write(self, data: bytes) -> None:
        """Add content; may block."""
        ...


TakingT = TypeVar("TakingT", bound=Taking)


@dataclass(frozen=True, slots=True)
class Upload(Generic[TakingT]):
    """One upload: who sends it, under which name and header, and what is to be done with it."""

    peer: str
    upload_id: str
    header_digest: str
    signer_id: str
    size: int
    """Of the content; -1 when the sender does not know."""
    begin: Callable[[], TakingT]
    """Makes room, or refuses; may block."""
    complete: Callable[[TakingT, BulkTrailer], bytes]
    """Keeps the content, or raises; the verdict, JSON text. May block."""


class Uploads(Generic[TakingT]):
    """Takes uploads of one kind. A sender that is lost may come back; whatever else goes wrong leaves nothing."""

    def __init__(self, spool: Spool[TakingT], workers: Workers) -> None:
        self._spool = spool
        self._workers = workers

    async def take(self, stream: IncomingStream, upload: Upload[TakingT]) -> bytes:
        """All of it; the verdict."""
        verdict = self._spool.finished(upload.peer, upload.upload_id)
        if verdict is not None:
            await stream.say(msgspec.json.encode({"offset": 0, "verdict": msgspec.Raw(verdict)}))
            stream.expect(0)
            return verdict
        taking = self._spool.claim(upload.peer, upload.upload_id) or await self._begin(upload)
        try:
            await self._receive(stream, upload, taking)
        except _LostError as error:
            self._spool.interrupt(upload.peer, upload.upload_id)
            raise TransferError(str(error)) from error
        except BaseException:
            await self._drop(upload, taking)
            raise
        return await self._complete(stream, upload, taking)

    async def _begin(self, upload: Upload[TakingT]) -> TakingT:
        def begin() -> TakingT:
            taking = upload.begin()
            self._spool.fill(upload.peer, upload.upload_id, taking)
            return taking

        try:
            return await self._workers.undivided(begin)
        except asyncio.CancelledError:  # it has been filled, perhaps
            self._spool.interrupt(upload.peer, upload.upload_id)
            self._spool.abandon(upload.peer, upload.upload_id)
            raise
        except BaseException:
            self._spool.remove(upload.peer, upload.upload_id)
            raise

    async def _receive(self, stream: IncomingStream, upload: Upload[TakingT], taking: TakingT) -> None:
        if upload.size >= 0:
            stream.expect(upload.size - taking.received)
        async with (
            Overlap(self._workers.run) as writing,
            aclosing(_blocks(stream, taking.received)) as blocks,
        ):
            try:
                async for block in blocks:
                    await writing.start(partial(_write, taking, block))
            except _LostError:
                await writing.wait()  # what came is kept, if it can be
                raise

    async def _complete(self, stream: IncomingStream, upload: Upload[TakingT], taking: TakingT) -> bytes:
        def complete() -> bytes:
            trailer = verify_bulk_trailer(
                stream.trailer,
                header_digest=upload.header_digest,
                signer_id=upload.signer_id,
                size=taking.received,
            )
            if 0 <= upload.size != taking.received:
                raise PayloadMismatchError(
                    f"{taking.received} bytes came of the {upload.size} that were announced"
                )
            return upload.complete(taking, trailer)

        try:
            verdict = await self._workers.undivided(complete)
        except BaseException:
            await self._drop(upload, taking)
            raise
        self._spool.remove(upload.peer, upload.upload_id, verdict)
        return verdict

    async def _drop(self, upload: Upload[TakingT], taking: TakingT) -> None:
        self._spool.remove(upload.peer, upload.upload_id)
        await self._workers.undivided(taking.discard)


async def _blocks(stream: IncomingStream, offset: int) -> AsyncGenerator[list[bytes]]:
    """What comes from there on, about two megabytes at a time; ``_LostError`` behind it when the sender is gone."""
    block: list[bytes] = []
    held = 0
    try:
        await stream.say(msgspec.json.encode({"offset": offset}))
        async for chunk in stream:
            if chunk:
                block.append(chunk)
                held += len(chunk)
            if held >= BLOCK or len(block) >= MOST_PARTS:
                yield block
                block, held = [], 0
    except TransferError as error:
        yield block
        raise _LostError(str(error)) from error
    yield block


def _write(taking: Taking, block: list[bytes]) -> None:
    for chunk in block:
        taking.write(chunk)


class _LostError(Exception):
    """The sender is gone."""
