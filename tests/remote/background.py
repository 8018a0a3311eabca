"""A host's doors on a thread of their own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.remote.wire.member_trust import MemberTrust
from paglets.remote.wire.pool import LinkPool
from tests.wire.site import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

T = TypeVar("T")
BOUND = 10.0


class Background:
    """A rig that runs while the context is open."""

    rig: Rig

    def __init__(self, directory: Path, make: Callable[[MeshDirectory, Path], Rig] = Rig) -> None:
        self.mesh = MeshDirectory(directory / "mesh")
        self._directory = directory
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rig")

    @property
    def url(self) -> str:
        return self.rig.address.url

    @property
    def socket_url(self) -> str:
        return self.rig.socket_url

    def pool(self) -> LinkPool:
        """To be called on the loop."""
        return LinkPool(MemberTrust(MeshCredentials.for_host(self.mesh, HostKey.generate(), "caller")))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(BOUND)

    def on_loop(self, call: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(call)

    def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + BOUND
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def stop(self) -> None:
        self.run(self.rig.listener.close())

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND)
        self._loop.close()

    async def _start(self) -> None:
        self.rig = self._make(self.mesh, self._directory)
        await self.rig.start()
