"""Fetching an artifact from another host, and going on where it broke off."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.artifacts.refs import ArtifactRef
from paglets.core.errors import AuthenticationError, RemoteHostError, TransferError
from paglets.remote.bulk.ends import BLOCK, MOST_PARTS
from paglets.remote.bulk.frames import PullHeader, SignedBulkHeader, sign_bulk_header, verify_bulk_trailer
from paglets.remote.bulk.overlap import Overlap
from paglets.remote.bulk.pushing import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.bulk.ends import FileSink
    from paglets.remote.trust.signers import Signer
    from paglets.remote.wire.addresses import HostAddress
    from paglets.remote.wire.bulk_stream import BulkStream
    from paglets.remote.wire.pool import LinkPool

logger = logging.getLogger(__name__)

_PAUSES = (0.05, 0.25, 1.0, 2.0)
_SYNCED_AT_ONCE = 16 * BLOCK
"""What is written before it is synced, while more comes; about three times that may not be on the disk."""
RECEIVED = b'{"received":true}'
NOT_RECEIVED = b'{"received":false}'
"""What came is not what was announced: the host looks at what it keeps, and refuses if that is damaged."""


class Content(msgspec.Struct, frozen=True):
    """What a host says before it sends."""

    artifact: dict[str, Any]


_content = msgspec.json.Decoder(Content)


async def pull(
    pool: LinkPool,
    address: HostAddress,
    signer: Signer,
    artifact_id: str,
    sink: FileSink,
    *,
    expected_sha256: str = "",
    progress: Callable[[int, int], None] | None = None,
    attempts: int = ATTEMPTS,
) -> ArtifactRef:
    """Write an artifact's content to ``sink``, verified; its reference. ``expected_sha256``: as the asker knows it.

    Raises what the host refuses with, ``TransferError`` for content that is not what its host signed or stored,
    ``RemoteHostError`` when the last attempt was lost, too.
    """
    for attempt in range(attempts):
        try:
            async with pool.bulk(address) as stream:
                return await _fetch(stream, signer, artifact_id, sink, expected_sha256, progress)
        except RemoteHostError:
            sink.require_sound()
            if attempt + 1 == attempts:
                raise
        await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
    raise AssertionError("there is at least one attempt")


async def _fetch(
    stream: BulkStream,
    signer: Signer,
    artifact_id: str,
    sink: FileSink,
    expected_sha256: str,
    progress: Callable[[int, int], None] | None,
) -> ArtifactRef:
    header = PullHeader(
        mesh_id=signer.mesh_id,
        source=signer.key.host_id,
        destination=stream.peer.host_id,
        artifact_id=artifact_id,
        offset=sink.received,
    )
    signed = sign_bulk_header(signer, header)
    await stream.send_text(signed.encode())
    try:
        said = _content.decode(await stream.next_text())
    except msgspec.MsgspecError as error:
        raise RemoteHostError(f"the host at {stream.url} does not say what it sends: {error}") from None
    ref = ArtifactRef.from_wire(said.artifact)
    if expected_sha256 and ref.sha256 != expected_sha256.lower():
        raise TransferError(
            f"artifact {artifact_id} of {stream.url} has the checksum {ref.sha256}, not {expected_sha256}; nothing was "
            "fetched"
        )
    trailer = await take(stream, ref, sink, progress)
    try:
        _verify(stream, signed, trailer, ref, sink)
    except TransferError:
        await _complain(stream)
        raise
    await stream.send_text(RECEIVED)
    return ref


async def _complain(stream: BulkStream) -> None:
    """Have the host look; raises what it says of itself, and nothing when it finds its bytes to be sound."""
    try:
        await stream.send_text(NOT_RECEIVED)
        await stream.next_text()
    except RemoteHostError as error:
        logger.warning("a host does not say why its artifact came wrong", extra={"error": str(error)})


async def take(
    stream: BulkStream, ref: ArtifactRef, sink: FileSink, progress: Callable[[int, int], None] | None
) -> bytes:
    """Write and hash what comes, in blocks, while more comes; the trailer, when all is written."""
    block: list[bytes] = []
    taken, written, synced = sink.received, sink.received, sink.received
    text = False
    data = b""
    async with (
        Overlap(asyncio.to_thread) as syncing,
        Overlap(asyncio.to_thread) as hashing,
        Overlap(asyncio.to_thread) as writing,
    ):
        while not text:
            text, data = await stream.next()
            if not text and data:
                block.append(data)
                taken += len(data)
            if taken > ref.size_bytes:
                raise TransferError(
                    f"the host at {stream.url} sends more than the {ref.size_bytes} bytes that it announced"
                )
            if text or taken - written >= BLOCK or len(block) >= MOST_PARTS:
                await hashing.start(partial(sink.hash, block))
                await writing.start(partial(sink.write, block))
                block, written = [], taken
                if progress is not None and not text:
                    progress(sink.received, ref.size_bytes)
            if written - synced >= _SYNCED_AT_ONCE:
                await syncing.start(sink.sync)
                synced = written
    if progress is not None:
        progress(sink.received, ref.size_bytes)
    return data


def _verify(
    stream: BulkStream, signed: SignedBulkHeader[PullHeader], trailer: bytes, ref: ArtifactRef, sink: FileSink
) -> None:
    try:
        verify_bulk_trailer(
            trailer,
            header_digest=signed.digest,
            signer_id=stream.peer.host_id,
            size=sink.received,
            digest=sink.digest,
        )
    except AuthenticationError as error:
        raise TransferError(
            f"artifact {ref.artifact_id} did not come whole from {stream.url}: {error}"
        ) from error
    if sink.digest.hex() != ref.sha256:
        raise TransferError(
            f"artifact {ref.artifact_id} from {stream.url} does not have the checksum that it should"
        )
