"""The life of an embedded host: what it owns from construction to the last clean-up, and the thread it runs on."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.artifacts.store import ArtifactStore
from paglets.core.context_events import ContextEventLog
from paglets.core.errors import HostError
from paglets.core.version import VERSION
from paglets.persistence.store import Store
from paglets.remote.client import HostClient
from paglets.remote.mesh_location import default_mesh_path
from paglets.remote.rendezvous import RENDEZVOUS_FOLDER, Rendezvous
from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.runtime.core import HostCore
from paglets.runtime.embedded_transport import EmbeddedTransport
from paglets.runtime.ground import Means
from paglets.runtime.launchers.zygote_launcher import shared_launcher
from paglets.runtime.listeners import ListenerThread
from paglets.runtime.loop_thread import LoopThread
from paglets.runtime.work_dirs import safe_name

if TYPE_CHECKING:
    from paglets.runtime.host_setup import Provided
    from paglets.runtime.settings import HostSettings

_STOP_TIMEOUT = 60.0
_MEET_TIMEOUT = 0.5
"""Seconds that a start waits, at most, for hosts that were found and do not answer. Those that do take some 20 ms."""


class HostLife:
    """Opens a host's store and credentials at once, its core on a loop, and closes all of it in order."""

    def __init__(self, settings: HostSettings, provided: Provided) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if provided.temporary:
            self._temporary = tempfile.TemporaryDirectory(
                prefix=f"paglets-{safe_name(settings.name)}-", dir=settings.data_dir
            )
            settings = dataclasses.replace(settings, data_dir=Path(self._temporary.name))
        self.settings = settings
        self.properties: dict[str, Any] = dict(settings.properties)
        self.log = ContextEventLog()
        self.listeners = ListenerThread(self.log, f"paglets-{settings.name}-listeners")
        self.thread = LoopThread(f"host {settings.name}")
        self._provided = provided
        self._client: HostClient | None = provided.client
        self._core: HostCore | None = None
        self._last_address = ""
        self._stopped = False
        try:
            self.store = provided.store if provided.store is not None else _open_store(settings.data_dir)
            try:
                self.credentials = self._load_credentials()
            except BaseException:
                self.store.close()
                raise
            self.artifacts = ArtifactStore(
                self.store,
                host_url=lambda: self.last_address,
                max_artifact_bytes=settings.artifact_max_bytes,
                quota_bytes=settings.artifact_quota_bytes,
            )
        except BaseException:
            self._remove_temporary()
            raise

    def _load_credentials(self) -> MeshCredentials:
        key = HostKey.load_or_create(self.settings.data_dir / "host.key")
        directory = MeshDirectory(self._mesh_dir())
        return MeshCredentials.for_host(directory, key, self.settings.name)

    def _mesh_dir(self) -> Path:
        return Path(self._provided.mesh_dir or default_mesh_path())

    def _rendezvous(self) -> tuple[Rendezvous, ...]:
        return (Rendezvous(self._mesh_dir() / RENDEZVOUS_FOLDER),) if self._provided.rendezvous else ()

    @property
    def last_address(self) -> str:
        """Where the host is, or was when it stopped; empty before it has started."""
        return self._last_address if self._core is None else self._core.ground.here.address

    @property
    def address(self) -> str:
        """``last_address``; ``HostError`` when there is none yet."""
        return self.last_address or self.core.ground.here.address

    @property
    def running(self) -> HostCore | None:
        """The host's parts while it runs."""
        return self._core

    @property
    def core(self) -> HostCore:
        """The host's parts; ``HostError`` while it does not run."""
        if self._core is None:
            state = "has stopped" if self._stopped else "is not running; call start_background() first"
            raise HostError(f"host {self.settings.name} {state}")
        return self._core

    @property
    def client(self) -> HostClient:
        """A client over the host's own connections, unless the program brought one."""
        if self._client is None:
            raise HostError(f"host {self.settings.name} is not running; call start_background() first")
        return self._client

    def start_background(self) -> None:
        """Start on a thread of its own; returns when others can call it."""
        if self._core is not None:
            return
        if self._stopped:
            raise HostError(
                f"host {self.settings.name} has stopped; make a new one with the same persistence_dir"
            )
        self.thread.start()
        try:
            self.thread.run(self._start(), _STOP_TIMEOUT)
        except BaseException:
            self._core = None
            self._close()
            raise

    async def start(self) -> None:
        """Start on the loop that is running."""
        self.thread.adopt(asyncio.get_running_loop())
        try:
            await self._start()
        except BaseException:
            await asyncio.to_thread(self._close)
            raise

    async def _start(self) -> None:
        provided = self._provided
        means = Means(
            store=self.store,
            artifacts=self.artifacts,
            credentials=self.credentials,
            launcher=provided.launcher if provided.launcher is not None else shared_launcher(),
            runner=self.thread,
            version=VERSION,
            discoveries=(*provided.discoveries, *self._rendezvous()),
        )
        core = HostCore(self.settings, means, log=self.log, properties=self.properties)
        try:
            await core.start()
            if provided.rendezvous:
                await core.neighbours.mesh.meet(timeout=_MEET_TIMEOUT)
        except BaseException:
            await core.stop()
            raise
        self._core = core
        if self._client is None:
            transport = EmbeddedTransport(core, self.thread, self.listeners)
            self._client = HostClient(transport=transport, local_url=core.ground.here.address)

    def stop(self, *, deactivate_active: bool = False) -> None:
        """Stop and close everything; bounded, and harmless when repeated. ``HostError`` on the loop's thread."""
        self.thread.refuse_own_thread()
        core = self._release_core()
        try:
            if core is not None:
                self.thread.run(core.stop(deactivate=deactivate_active), _STOP_TIMEOUT)
        finally:
            self._close()

    async def aclose(self, *, deactivate_active: bool = False) -> None:
        """``stop`` on the loop that ``start`` was called on."""
        core = self._release_core()
        try:
            if core is not None:
                await core.stop(deactivate=deactivate_active)
        finally:
            await asyncio.to_thread(self._close)

    def _release_core(self) -> HostCore | None:
        self._last_address = self.last_address
        core, self._core = self._core, None
        return core

    def _close(self) -> None:
        self._stopped = True
        self.thread.stop()
        self.listeners.close()
        self.store.close()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()


def _open_store(data_dir: Path) -> Store:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"the data directory {data_dir} cannot be made: {error.strerror}; choose another one"
        ) from error
    return Store(data_dir / "store", read_only=True)
