"""Operations on artifacts: looking and deleting for everybody, content through open files for paglets."""

from __future__ import annotations

import os
import stat
import time
import uuid
from typing import TYPE_CHECKING, Any

from paglets.artifacts.errors import ArtifactNotFoundError
from paglets.artifacts.intake import ArtifactTerms
from paglets.core.errors import HostError, InvalidAgentError, TransferError
from paglets.remote import artifact_api as api
from paglets.remote.bulk.ends import FileSink, FileSource
from paglets.remote.bulk.frames import PushHeader
from paglets.remote.bulk.pulling import pull
from paglets.remote.bulk.pushing import push, stored
from paglets.remote.trust.signers import Signer
from paglets.runtime.operations import Entry

if TYPE_CHECKING:
    from paglets.artifacts.store import ArtifactStore
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.pool import LinkPool
    from paglets.remote.wire.reads import Query, Read
    from paglets.runtime.artifacts.workers import Workers
    from paglets.runtime.caller import Caller
    from paglets.runtime.events import Events
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers

MAX_PAGE = 1000
_REPORT_SECONDS = 1.0


class ArtifactOperations:
    """The artifacts of this host, and of others for the paglets that are here."""

    def __init__(
        self,
        *,
        artifacts: ArtifactStore,
        workers: Workers,
        pool: LinkPool,
        peers: Peers,
        events: Events,
        here: Here,
        key: HostKey,
    ) -> None:
        self._artifacts = artifacts
        self._workers = workers
        self._pool = pool
        self._peers = peers
        self._events = events
        self._here = here
        self._signer = Signer(key, here.mesh_id)

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.ARTIFACTS_LIST: Entry(api.ArtifactsListParams, self.list),
            api.ARTIFACTS_INFO: Entry(api.ArtifactParams, self.info),
            api.ARTIFACTS_DELETE: Entry(api.ArtifactParams, self.delete),
            api.ARTIFACTS_UPLOAD: Entry(api.UploadParams, self.upload, frozenset()),
            api.ARTIFACTS_DOWNLOAD: Entry(api.DownloadParams, self.download, frozenset()),
        }

    def reads(self) -> dict[str, Read]:
        """The JSON reads."""
        return {"/artifacts": self.read_list, "/artifacts/{artifact_id}": self.read_one}

    # --- looking

    async def list(self, _caller: Caller, params: api.ArtifactsListParams) -> Any:
        """A page of references."""
        return await self._page(params.owner_agent_id, params.cursor, params.limit)

    async def read_list(self, query: Query) -> Any:
        """The same over GET."""
        return await self._page(query.args.get("owner_agent_id"), query.cursor, query.limit)

    async def _page(self, owner: str | None, cursor: str, limit: int) -> Any:
        refs, following = await self._workers.run(
            self._artifacts.page,
            owner_agent_id=owner,
            after=cursor,
            limit=max(1, min(limit, MAX_PAGE)),
        )
        page: dict[str, Any] = {"artifacts": [ref.to_wire() for ref in refs]}
        return page if following is None else {**page, "cursor": following}

    async def info(self, _caller: Caller, params: api.ArtifactParams) -> Any:
        """One reference."""
        return (await self._workers.run(self._artifacts.ref, params.artifact_id)).to_wire()

    async def read_one(self, query: Query) -> Any:
        """The same over GET; an unknown id is a 404."""
        try:
            return (await self._workers.run(self._artifacts.ref, query.path["artifact_id"])).to_wire()
        except ArtifactNotFoundError as error:
            raise InvalidAgentError(str(error)) from None

    async def delete(self, caller: Caller, params: api.ArtifactParams) -> Any:
        """Delete one."""
        deleted = await self._workers.undivided(self._artifacts.delete, params.artifact_id)
        if deleted:
            self._events.emit(
                "artifact-deleted", agent_id=caller.agent_id, data={"artifact_id": params.artifact_id}
            )
        return {"deleted": deleted}

    # --- content, for paglets

    async def upload(self, caller: Caller, params: api.UploadParams) -> Any:
        """Store what is in the file that came beside the call, here or at the host that is named."""
        descriptor = _descriptor(caller)
        try:
            terms = ArtifactTerms(params.name, params.owner_agent_id, params.compression, params.expires_at)
        except ValueError as error:
            raise HostError(str(error)) from None
        if not params.host_url or self._here.is_me(params.host_url):
            ref = await self._workers.undivided(self._store, descriptor, terms)
            self._events.emit("artifact-stored", agent_id=caller.agent_id, data=ref)
            return ref
        target = await self._peers.find(params.host_url)
        source = FileSource(descriptor)
        upload_id = uuid.uuid4().hex

        def header_for(destination: str) -> PushHeader:
            return PushHeader(
                mesh_id=self._signer.mesh_id,
                source=self._here.host_id,
                destination=destination,
                upload_id=upload_id,
                size=source.size,
                name=terms.name,
                compression=terms.compression,
                owner_agent_id=terms.owner_agent_id,
                expires_at=terms.expires_at,
            )

        verdict = await push(
            self._pool,
            self._peers.address(target.host_id, target.url),
            self._signer,
            header_for,
            source,
            progress=Reports(self._events, caller.agent_id, "upload", target.name),
        )
        return stored(verdict, source, target.url).to_wire()

    def _store(self, descriptor: int, terms: ArtifactTerms) -> dict[str, Any]:
        size = os.fstat(descriptor).st_size
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            result = self._artifacts.create_from_stream(
                file,
                size_bytes=size,
                name=terms.name,
                owner_agent_id=terms.owner_agent_id,
                compression=terms.compression,
                expires_at=terms.expires_at,
            )
        return result.ref.to_wire()

    async def download(self, caller: Caller, params: api.DownloadParams) -> Any:
        """Write an artifact of this host, or of the one that is named, into the file beside the call."""
        descriptor = _descriptor(caller)
        if not params.host_url or self._here.is_me(params.host_url):
            return await self._workers.undivided(self._write, descriptor, params)
        target = await self._peers.find(params.host_url)
        ref = await pull(
            self._pool,
            self._peers.address(target.host_id, target.url),
            self._signer,
            params.artifact_id,
            FileSink(descriptor),
            expected_sha256=params.sha256,
            progress=Reports(self._events, caller.agent_id, "download", target.name),
        )
        return ref.to_wire()

    def _write(self, descriptor: int, params: api.DownloadParams) -> dict[str, Any]:
        record = self._artifacts.record(params.artifact_id)
        if params.sha256 and params.sha256.lower() != record.digest.hex():
            raise TransferError(
                f"artifact {params.artifact_id} has the checksum {record.digest.hex()}, not {params.sha256}"
            )
        offset = 0
        for part in self._artifacts.content(record):
            view = memoryview(part)
            while view:
                written = os.pwrite(descriptor, view, offset)
                offset += written
                view = view[written:]
        if offset != record.size:
            raise TransferError(f"artifact {params.artifact_id} ended after {offset} bytes of {record.size}")
        return self._artifacts.ref_of(record).to_wire()


class Reports:
    """Tells of the progress of a transfer as ``artifact-transfer`` events, at most one a second."""

    def __init__(self, events: Events, agent_id: str | None, direction: str, peer: str) -> None:
        self._events = events
        self._agent_id = agent_id
        self._shown = {"direction": direction, "peer": peer}
        self._last = float("-inf")

    def __call__(self, done: int, total: int) -> None:
        """So far."""
        now = time.monotonic()
        if done < total and now - self._last < _REPORT_SECONDS:
            return
        self._last = now
        self._events.emit(
            "artifact-transfer",
            agent_id=self._agent_id,
            data={**self._shown, "bytes_done": done, "bytes_total": total},
        )


def _descriptor(caller: Caller) -> int:
    """The open file beside a paglet's call; ``HostError`` for what is no regular file."""
    descriptor = caller.call.descriptor if caller.call is not None else None
    if descriptor is None:
        raise HostError("this operation takes an open file beside the call")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise HostError("what came beside the call is no regular file")
    return descriptor
