"""Sending content to another host, and going on where it broke off."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.artifacts.refs import ArtifactRef
from paglets.core.errors import RemoteHostError, SerializationError, TransferError
from paglets.remote.bulk.frames import Offset, sign_bulk_header, sign_bulk_trailer
from paglets.remote.bulk.overlap import ahead

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.bulk.ends import FileSource
    from paglets.remote.bulk.frames import BulkHeader
    from paglets.remote.trust.signers import Signer
    from paglets.remote.wire.addresses import HostAddress
    from paglets.remote.wire.bulk_stream import BulkStream
    from paglets.remote.wire.pool import LinkPool

ATTEMPTS = 5
_PAUSES = (0.05, 0.25, 1.0, 2.0)
"""Seconds before each attempt after the first."""

_offset = msgspec.json.Decoder(Offset)


class _Stored(msgspec.Struct, frozen=True):
    artifact: dict[str, Any]


_stored = msgspec.json.Decoder(_Stored)


async def push(
    pool: LinkPool,
    address: HostAddress,
    signer: Signer,
    header_for: Callable[[str], BulkHeader],
    source: FileSource,
    *,
    progress: Callable[[int, int], None] | None = None,
    attempts: int = ATTEMPTS,
) -> bytes:
    """Send what ``source`` gives; the receiver's verdict, as JSON text.

    ``header_for(host id)`` makes the header for the host that answers at that address. A connection that is lost
    is dialled again, and the receiver says how much it has. Raises what the receiver refuses with, and
    ``RemoteHostError`` when the last attempt was lost, too.
    """
    for attempt in range(attempts):
        try:
            async with pool.bulk(address) as stream:
                return await _send(stream, signer, header_for(stream.peer.host_id), source, progress)
        except RemoteHostError:
            if attempt + 1 == attempts:
                raise
        await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
    raise AssertionError("there is at least one attempt")


async def _send(
    stream: BulkStream,
    signer: Signer,
    header: BulkHeader,
    source: FileSource,
    progress: Callable[[int, int], None] | None,
) -> bytes:
    signed = sign_bulk_header(signer, header)
    await stream.send_text(signed.encode())
    begun = _read_offset(stream, await stream.next_text(), source.size)
    if bytes(begun.verdict):
        await source.skip_to(source.size)  # so that whoever asks can compare
        return bytes(begun.verdict)
    await source.skip_to(begun.offset)
    offset = read = begun.offset

    async def block() -> bytes:
        nonlocal read
        data = await source.read(read)
        read += len(data)
        return data

    async with aclosing(ahead(block)) as blocks:
        async for data in blocks:
            offset += len(data)
            await stream.send_chunk(data)
            if progress is not None:
                progress(offset, source.size)
    await stream.send_text(sign_bulk_trailer(signer, signed.digest, size=offset, digest=source.digest))
    return await stream.next_text()


def stored(verdict: bytes, source: FileSource, url: str) -> ArtifactRef:
    """The artifact that an upload has become.

    ``TransferError`` when it is not what was sent: the upload's id stands for an earlier one, or the host lies.
    """
    try:
        ref = ArtifactRef.from_wire(_stored.decode(verdict).artifact)
    except (msgspec.MsgspecError, SerializationError) as error:
        raise RemoteHostError(f"the host at {url} does not say what it has stored: {error}") from None
    if ref.sha256 != source.digest.hex():
        raise TransferError(
            f"the host at {url} says that it has stored another content than was sent; an upload id stands for one "
            "content only"
        )
    return ref


def _read_offset(stream: BulkStream, data: bytes, size: int) -> Offset:
    try:
        begun = _offset.decode(data)
    except msgspec.MsgspecError as error:
        raise RemoteHostError(f"the host at {stream.url} does not say where to go on: {error}") from None
    if not 0 <= begun.offset <= size:
        raise RemoteHostError(f"the host at {stream.url} has more of it than there is")
    return begun
