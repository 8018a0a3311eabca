"""A disk for tests: real for whoever uses it, and it fails, fills up and loses its power when it is told to."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.disks import fuse

if TYPE_CHECKING:
    from typing import Self

SECONDS = 20.0


class CannotMountError(Exception):
    """There is no FUSE here, or not for this user."""


class FaultyDisk:
    """A mounted file system in a process of its own; ``root`` is where."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "disk"
        self.root.mkdir()
        self._asking = threading.Lock()
        path = Path(f"/tmp/paglets-disk-{id(self):x}-{self.root.stat().st_ino}")
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            try:
                door.listen(1)
                door.settimeout(SECONDS)
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.disks.server", str(self.root), str(path)],
                    cwd=Path(__file__).parents[2],
                )
                self._socket, _ = door.accept()
            finally:
                path.unlink()
        self._socket.settimeout(SECONDS * 3)
        self._lines = self._socket.makefile("rw")
        refused = json.loads(self._lines.readline())
        if refused:
            self.close()
            raise CannotMountError(refused)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take it away."""
        fuse.unmount(str(self.root))
        self._lines.close()
        self._socket.close()
        self._process.wait(SECONDS)

    def fail(
        self,
        number: int,
        error: int = errno.EIO,
        *,
        name: str = "",
        lasting: bool = False,
        torn: bool = False,
    ) -> None:
        """Have the ``number``th write or sync from now on fail; see ``tests.disks.server.Fault``."""
        self._ask(do="fail", number=number, error=error, name=name, lasting=lasting, torn=torn)

    def heal(self) -> int:
        """Let nothing fail any more; how many writes and syncs there were since ``fail``."""
        return self._ask(do="heal")

    def position(self) -> int:
        """How much was done to it."""
        return self._ask(do="position")

    def synced(self) -> list[int]:
        """The positions right after each sync."""
        return self._ask(do="synced")

    def cut(self, at: int, seed: int, to: Path) -> None:
        """One of the disks that a power cut at that position may leave, as a directory."""
        self._ask(do="cut", at=at, seed=seed, to=str(to))

    def _ask(self, **command: Any) -> Any:
        with self._asking:
            self._lines.write(json.dumps(command) + "\n")
            self._lines.flush()
            return json.loads(self._lines.readline())
