"""The working directories of paglets: one for each paglet, named by the life it began with on this host."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.core.incarnation import Incarnation

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,100}")


class WorkDirs:
    """Names, hands on and clears working directories. What blocks says so, and belongs on a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, agent_id: str, incarnation: Incarnation) -> Path:
        """Where that life of the paglet works. Not made here: a paglet that asks for it makes it."""
        lineage = incarnation.lineage.number
        return self._root / f"{safe_name(agent_id)}.{lineage}.{incarnation.epoch}"

    def hand_on(self, agent_id: str, earlier: Incarnation, later: Incarnation) -> None:
        """A paglet that is woken or recovered on its host finds the files of its earlier life. Blocks briefly."""
        with contextlib.suppress(FileNotFoundError):
            self.path(agent_id, earlier).rename(self.path(agent_id, later))

    def clear(self, agent_id: str, incarnation: Incarnation) -> None:
        """Remove the directory of a paglet that has left or was disposed of. Blocks."""
        shutil.rmtree(self.path(agent_id, incarnation), ignore_errors=True)

    def clear_all(self) -> None:
        """Remove every directory, at the start of a host. Blocks."""
        shutil.rmtree(self._root, ignore_errors=True)


def safe_name(name: str) -> str:
    """A file name for an id or class name; one that would not do as it is gets a digest."""
    if _PLAIN.fullmatch(name) and not name.startswith("."):
        return name
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:60].lstrip(".")
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
