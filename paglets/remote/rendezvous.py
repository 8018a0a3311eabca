"""Hosts of one machine and user find each other without a network: through files in a shared folder.

Each host keeps ``SHORT-ID.json`` there, with its URLs, and holds a lock (``flock(2)``) on it for as long as
it lives. A file that nobody holds is a dead host's, and whoever sees it removes it. Nothing is written after
the start, and nothing in a file is trusted: its URLs are hints, as those of any discovery.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

import msgspec

from paglets.remote.discovery import AddressHint, Advertisement

try:
    import fcntl
except ImportError:  # no such locks on Windows; there, hosts name their peers or use multicast
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

RENDEZVOUS_FOLDER = "rendezvous"
"""Its name in a mesh directory."""
LOOK = 2.0
"""Seconds between two looks at whether the folder changed: one system call each."""
REPEAT = 15
"""Looks after which all hints are given again."""
MAX_FILES = 256
MAX_BYTES = 8192
_TRIES = 20


class Rendezvous:
    """A ``Discovery`` by a folder, which the hosts of one user share and nobody else can write to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: Path | None = None
        self._lock: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, advertisement: Advertisement, on_hint: Callable[[AddressHint], None]) -> None:
        """Put this host's file there, and look for others, now and whenever the folder changes."""
        if fcntl is None or self._task is not None:
            return
        await self.update(advertisement)
        await self._tell(
            advertisement, on_hint
        )  # of two that start at once, the second to write sees the first
        self._task = asyncio.create_task(self._watch(advertisement, on_hint), name="rendezvous")

    async def update(self, advertisement: Advertisement) -> None:
        """Write the file anew."""
        try:
            await asyncio.to_thread(self._write, advertisement)
        except OSError as error:
            logger.info("no rendezvous with other hosts of this machine", extra={"reason": str(error)})

    async def stop(self) -> None:
        """Remove the file."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(self._remove)

    async def _watch(self, own: Advertisement, on_hint: Callable[[AddressHint], None]) -> None:
        seen, looks = -1, 0
        while True:
            await asyncio.sleep(LOOK)
            looks += 1
            try:
                changed = (await asyncio.to_thread(self._folder.stat)).st_mtime_ns
            except OSError:
                logger.debug("the rendezvous folder cannot be read", exc_info=True)
                continue
            if changed != seen or looks % REPEAT == 0:
                seen = changed
                await self._tell(own, on_hint)

    async def _tell(self, own: Advertisement, on_hint: Callable[[AddressHint], None]) -> None:
        try:
            hints = await asyncio.to_thread(self._look, own)
        except OSError:
            logger.debug("the rendezvous folder cannot be read", exc_info=True)
            return
        for hint in hints:
            on_hint(hint)

    # --- on a worker thread -------------------------------------------------------------------------------

    def _write(self, advertisement: Advertisement) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            name = "".join(character for character in advertisement.host_id if character.isalnum())
            self._own = self._folder / f"{name[:32]}.json"
            self._lock = _hold(self._own)
        if self._lock is not None:
            data = msgspec.json.encode(advertisement)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, data, 0)
            os.utime(self._folder)  # a file that changes does not change its folder; the others look there

    def _remove(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None and self._own is not None:
            with contextlib.suppress(OSError):
                self._own.unlink()
            os.close(lock)

    def _look(self, own: Advertisement) -> list[AddressHint]:
        hints: list[AddressHint] = []
        for path in sorted(self._folder.glob("*.json"))[:MAX_FILES]:
            if path == self._own:
                continue
            there = _read_living(path)
            if there is not None and there.mesh_id == own.mesh_id and there.host_id != own.host_id:
                hints += [AddressHint(url, there.host_id) for url in there.urls[:8]]
        return hints


def _hold(path: Path) -> int | None:
    """Open and lock a file; none when another process holds it, as when a data directory is used twice."""
    if fcntl is None:
        return None
    for _ in range(_TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        # Somebody took it for a dead host's at this very moment.
        os.close(handle)
    return None


def _read_living(path: Path) -> Advertisement | None:
    """What a living host wrote; the file of a dead one is removed."""
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return msgspec.json.decode(os.read(handle, MAX_BYTES), type=Advertisement)
        path.unlink(missing_ok=True)
    except (OSError, msgspec.MsgspecError):
        logger.debug("a rendezvous file cannot be read", extra={"file": str(path)}, exc_info=True)
    finally:
        os.close(handle)
    return None
