"""Artifacts that others push here, and pull from here."""

from __future__ import annotations

import logging
from contextlib import aclosing
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import msgspec

from paglets.artifacts.errors import ChecksumError
from paglets.artifacts.intake import ArtifactTerms, Intake
from paglets.core.errors import AuthenticationError, ForbiddenError, HostError, TransferError
from paglets.remote.bulk.frames import (
    BulkHeader,
    BulkTrailer,
    FileHeader,
    PullHeader,
    PushHeader,
    SignedBulkHeader,
    kind_of,
    sign_bulk_trailer,
    verify_bulk_header,
)
from paglets.remote.bulk.overlap import ahead
from paglets.remote.bulk.pulling import NOT_RECEIVED
from paglets.remote.trust.errors import PayloadMismatchError
from paglets.remote.trust.signers import Signer
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.artifacts.uploads import Upload, Uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.artifacts.store import ArtifactStore
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.stream_server import IncomingStream, StreamHandler
    from paglets.runtime.artifacts.workers import Workers
    from paglets.runtime.events import Events
    from paglets.runtime.files.arriving import ArrivingFiles
    from paglets.runtime.here import Here

_PARTS_AT_ONCE = 4

logger = logging.getLogger(__name__)

_HeaderT = TypeVar("_HeaderT", bound=BulkHeader)


class BulkStreams:
    """A ``StreamHandler``: takes artifacts and files, gives artifacts, and hands envelopes to those who take them."""

    def __init__(
        self,
        *,
        artifacts: ArtifactStore,
        files: ArrivingFiles,
        envelopes: StreamHandler,
        workers: Workers,
        events: Events,
        here: Here,
        key: HostKey,
    ) -> None:
        self._artifacts = artifacts
        self._files = files
        self._envelopes = envelopes
        self._workers = workers
        self._events = events
        self._here = here
        self._signer = Signer(key, here.mesh_id)
        self._uploads: Uploads[Intake] = Uploads(artifacts.spool, workers)

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        """See ``StreamHandler``."""
        kind = kind_of(stream.header)
        if kind is None:
            return await self._envelopes.receive(peer, stream)
        try:
            return await self._receive(kind, peer, stream)
        except (AuthenticationError, ForbiddenError) as error:
            self._alarm(peer, error)
            raise

    async def _receive(self, kind: type[BulkHeader], peer: Peer, stream: IncomingStream) -> bytes:
        if kind is PushHeader:
            return await self._push(peer, stream, self._verified(peer, stream, PushHeader))
        if kind is PullHeader:
            return await self._pull(stream, self._verified(peer, stream, PullHeader))
        if peer.kind is not PeerKind.MEMBER:
            raise ForbiddenError(f"only hosts of the mesh send the files of paglets, not a {peer.kind.value}")
        return await self._files.receive(peer, stream, self._verified(peer, stream, FileHeader))

    def _verified(
        self, peer: Peer, stream: IncomingStream, kind: type[_HeaderT]
    ) -> SignedBulkHeader[_HeaderT]:
        return verify_bulk_header(
            stream.header,
            kind,
            mesh_id=self._here.mesh_id,
            destination=self._here.host_id,
            source=peer.host_id,
        )

    def _alarm(self, peer: Peer, error: Exception) -> None:
        """What is forged, altered, cut or not the sender's to send is shown to people."""
        logger.warning("a stream was refused", extra={"peer": peer.name or peer.address, "error": str(error)})
        self._events.emit(
            "security",
            data={"what": "stream", "peer": peer.host_id or peer.address, "address": peer.address},
            error=str(error),
        )

    # --- push

    async def _push(self, peer: Peer, stream: IncomingStream, signed: SignedBulkHeader[PushHeader]) -> bytes:
        header = signed.header
        try:
            terms = ArtifactTerms(header.name, header.owner_agent_id, header.compression, header.expires_at)
        except ValueError as error:
            raise HostError(str(error)) from None
        upload = Upload(
            peer=peer.host_id or peer.address,
            upload_id=header.upload_id,
            header_digest=signed.digest,
            signer_id=signed.frame.signer_id,
            size=header.size,
            begin=lambda: self._artifacts.intake(terms, header.size),
            complete=lambda intake, trailer: self._keep(intake, trailer, header),
        )
        verdict = await self._uploads.take(stream, upload)
        self._events.emit(
            "artifact-stored",
            agent_id=header.owner_agent_id or None,
            data={**msgspec.json.decode(verdict)["artifact"], "peer": peer.name or peer.address},
        )
        return verdict

    def _keep(self, intake: Intake, trailer: BulkTrailer, header: PushHeader) -> bytes:
        if header.digest and header.digest != trailer.digest:
            raise PayloadMismatchError("the content is not the one that was announced; nothing was kept")
        try:
            record = intake.finish(expected_sha256=trailer.digest)
        except ChecksumError as error:
            raise PayloadMismatchError(str(error)) from error
        return msgspec.json.encode({"artifact": self._artifacts.ref_of(record).to_wire()})

    # --- pull

    async def _pull(self, stream: IncomingStream, signed: SignedBulkHeader[PullHeader]) -> bytes:
        header = signed.header
        record = await self._workers.run(self._artifacts.record, header.artifact_id)
        if header.offset > record.size:
            raise TransferError(f"artifact {header.artifact_id} has {record.size} bytes, not {header.offset}")
        stream.expect(0)
        await stream.say(msgspec.json.encode({"artifact": self._artifacts.ref_of(record).to_wire()}))
        parts = self._artifacts.content_to_check(record, header.offset)
        sent = header.offset
        async with aclosing(ahead(lambda: self._workers.run(_some_of, parts))) as blocks:
            async for block in blocks:
                for part in block:
                    await stream.give(part)
                    sent += len(part)
        await stream.say(sign_bulk_trailer(self._signer, signed.digest, size=sent, digest=record.digest))
        async for _ in stream:
            pass  # the receiver's word ends it
        if stream.trailer == NOT_RECEIVED:
            logger.warning("an artifact did not arrive as it is kept", extra={"id": header.artifact_id})
            await self._workers.run(self._artifacts.check, record)
        return b'{"done":true}'


def _some_of(parts: Iterator[bytes]) -> list[bytes]:
    """The next pieces, about a megabyte of them; none at the end."""
    return list(islice(parts, _PARTS_AT_ONCE))
