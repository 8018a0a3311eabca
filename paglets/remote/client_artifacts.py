"""Artifacts as a program handles them through its ``HostClient``."""

from __future__ import annotations

import concurrent.futures
import queue
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from paglets.artifacts.compression import check_compression
from paglets.artifacts.refs import ArtifactRef, as_ref
from paglets.artifacts.target_files import TargetFile, target_path
from paglets.core.errors import HostError, RemoteHostError
from paglets.remote import artifact_api as api
from paglets.remote.bulk.ends import FileSink, FileSource
from paglets.remote.bulk.frames import PushHeader
from paglets.remote.bulk.pulling import pull
from paglets.remote.bulk.pushing import push, stored
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.signers import Signer
from paglets.remote.wire.addresses import HostAddress
from paglets.serialization.values import from_json

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Callable, Coroutine, Mapping

    import msgspec

    from paglets.artifacts.file_refs import PagletFileRef
    from paglets.remote.wire.pool import LinkPool
    from paglets.remote.wire.transport import ClientTransport

T = TypeVar("T")


class ClientArtifacts:
    """Uploads, downloads and looks, over a client's connections; from any thread but their loop's."""

    def __init__(
        self,
        transport: ClientTransport,
        call: Callable[[str, str, msgspec.Struct], bytes],
        signer: Callable[[str], Signer | None],
    ) -> None:
        self._transport = transport
        self._call = call
        self._signer = signer

    def upload(
        self,
        host_url: str,
        path: str | os.PathLike[str],
        *,
        owner_agent_id: str = "",
        name: str | None = None,
        compression: str = "",
        expires_at: float = 0.0,
        upload_id: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ArtifactRef:
        """Send a file; the reference at that host."""
        check_compression(compression)
        place = Path(path)
        shown = place.name if name is None else name
        here = self._transport.artifacts_at(host_url)
        if here is not None:
            return here.create_from_path(
                place,
                owner_agent_id=owner_agent_id,
                name=shown,
                compression=compression,
                expires_at=expires_at,
            ).ref
        signer = self._signing(host_url)
        chosen = upload_id or uuid.uuid4().hex
        with place.open("rb") as file:
            source = FileSource(file.fileno())

            def header_for(destination: str) -> PushHeader:
                return PushHeader(
                    mesh_id=signer.mesh_id,
                    source=signer.key.host_id,
                    destination=destination,
                    upload_id=chosen,
                    size=source.size,
                    name=shown,
                    compression=compression,
                    owner_agent_id=owner_agent_id,
                    expires_at=expires_at,
                )

            verdict = self._run(
                lambda pool, tell: push(
                    pool, HostAddress(host_url), signer, header_for, source, progress=tell
                ),
                progress,
            )
            return stored(verdict, source, host_url)

    def download(
        self,
        artifact: ArtifactRef,
        target: str | os.PathLike[str],
        *,
        move: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> ArtifactRef:
        """Fetch an artifact into a file, whole or not at all."""
        here = self._transport.artifacts_at(artifact.host_url)
        if here is not None:
            ref = here.export_to_path(artifact.artifact_id, target, expected_sha256=artifact.sha256 or None)
        else:
            signer = self._signing(artifact.host_url)
            address = HostAddress(artifact.host_url)
            if not artifact.name and Path(target).is_dir():
                artifact = self.metadata(artifact)
            with TargetFile(target_path(target, artifact.name)) as file:
                sink = FileSink(file.descriptor)
                ref = self._run(
                    lambda pool, tell: pull(
                        pool,
                        address,
                        signer,
                        artifact.artifact_id,
                        sink,
                        expected_sha256=artifact.sha256,
                        progress=tell,
                    ),
                    progress,
                )
                file.complete()
        if move:
            self.delete(artifact)
        return ref

    def metadata(self, artifact: ArtifactRef) -> ArtifactRef:
        """What its host says of an artifact."""
        return ArtifactRef.from_wire(self._ask(artifact, api.ARTIFACTS_INFO))

    def delete(self, artifact: ArtifactRef) -> bool:
        """Delete an artifact; whether it was there."""
        return self._ask(artifact, api.ARTIFACTS_DELETE)["deleted"]

    def list(self, host_url: str, owner_agent_id: str | None) -> builtins.list[ArtifactRef]:
        """All artifacts of a host, or those of one owner."""
        found: builtins.list[ArtifactRef] = []
        cursor: str | None = ""
        while cursor is not None:
            params = api.ArtifactsListParams(owner_agent_id=owner_agent_id, cursor=cursor)
            page = from_json(self._call(host_url, api.ARTIFACTS_LIST, params))
            found += [ArtifactRef.from_wire(each) for each in page["artifacts"]]
            cursor = page.get("cursor")
        return found

    def _ask(self, artifact: ArtifactRef, method: str) -> Any:
        params = api.ArtifactParams(artifact_id=artifact.artifact_id)
        return from_json(self._call(artifact.host_url, method, params))

    def _signing(self, host_url: str) -> Signer:
        # At a local socket the kernel vouches for who we are; the key only holds the frames together.
        return self._signer(host_url) or Signer(HostKey.generate(), "")

    def _run(
        self,
        work: Callable[[LinkPool, Callable[[int, int], None]], Coroutine[Any, Any, T]],
        progress: Callable[[int, int], None] | None,
    ) -> T:
        """Run a transfer to its end, however long that takes, and tell of its progress on this thread."""
        self._transport.require_other_thread()
        news: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()

        def tell(done: int, total: int) -> None:
            if progress is not None:  # each word wakes this thread, which is not for nothing
                news.put((done, total))

        future = self._transport.run(lambda pool: work(pool, tell))
        future.add_done_callback(lambda _: news.put(None))
        try:
            while (said := news.get()) is not None:
                if progress is not None:
                    progress(*said)
            return future.result()
        except concurrent.futures.CancelledError:
            raise RemoteHostError("the transfer was given up: the client was closed") from None
        except BaseException:
            future.cancel()
            raise


def named(artifact_or_url: ArtifactRef | Mapping[str, Any] | str, artifact_id: str | None) -> ArtifactRef:
    """The artifact that is meant: a reference, one as plain data, or a host's URL and an id.

    ``ValueError`` for a URL without an id.
    """
    if not isinstance(artifact_or_url, str):
        return as_ref(artifact_or_url)
    if not artifact_id:
        raise ValueError(f"say which artifact of {artifact_or_url} is meant: artifact_id is missing")
    return ArtifactRef(artifact_or_url, artifact_id)


class ClientDesk:
    """A client's artifacts as proxies and contexts use them."""

    def __init__(self, artifacts: ClientArtifacts, host_url: str) -> None:
        self._artifacts = artifacts
        self._host_url = host_url

    def upload(
        self,
        path: str | os.PathLike[str],
        *,
        host_url: str | None = None,
        owner_agent_id: str = "",
        name: str | None = None,
        compression: str = "",
        expires_at: float = 0.0,
    ) -> ArtifactRef:
        """Send a file to a host."""
        return self._artifacts.upload(
            host_url or self._host_url,
            path,
            owner_agent_id=owner_agent_id,
            name=name,
            compression=compression,
            expires_at=expires_at,
        )

    def download(
        self, artifact: ArtifactRef | Mapping[str, Any], target: str | os.PathLike[str], *, move: bool = False
    ) -> ArtifactRef:
        """Fetch an artifact."""
        return self._artifacts.download(as_ref(artifact), target, move=move)

    def delete(self, artifact: ArtifactRef | Mapping[str, Any]) -> bool:
        """Delete an artifact."""
        return self._artifacts.delete(as_ref(artifact))

    def register_file(
        self, agent_id: str, path: str | os.PathLike[str], *, name: str | None = None, mode: str = "copy"
    ) -> PagletFileRef:
        """Refused: only the paglet itself knows its files."""
        del path, name, mode
        raise _own_process(agent_id)

    def registered_files(self, agent_id: str) -> builtins.list[PagletFileRef]:
        """Refused."""
        raise _own_process(agent_id)

    def unregister_file(self, agent_id: str, name: str) -> bool:
        """Refused."""
        del name
        raise _own_process(agent_id)

    def file_path(self, agent_id: str, name: str) -> Path:
        """Refused."""
        del name
        raise _own_process(agent_id)


def _own_process(agent_id: str) -> HostError:
    return HostError(f"the files of paglet {agent_id} can be had in its own process only")
