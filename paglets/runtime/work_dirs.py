"""The working directories of paglets: one for each paglet, named by the life it began with on this host."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.core.incarnation import Incarnation

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,100}")
_GONE = ".gone-"


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

    def set_aside(self, agent_id: str, incarnation: Incarnation) -> Path | None:
        """Take the directory of a paglet that has left or was disposed of out of the way. Blocks briefly.

        What is returned is to be given to ``remove``; None when the paglet never made a directory.
        """
        aside = self._root / f"{_GONE}{uuid.uuid4().hex}"
        try:
            return self.path(agent_id, incarnation).rename(aside)
        except FileNotFoundError:
            return None

    def remove(self, aside: Path) -> None:
        """Remove what was set aside. Blocks as long as that takes; what is left over goes at the next start."""
        shutil.rmtree(aside, ignore_errors=True)

    def clear_all(self) -> None:
        """Remove every directory, at the start of a host. Blocks."""
        shutil.rmtree(self._root, ignore_errors=True)


def safe_name(name: str) -> str:
    """A file name for an id or class name; one that would not do as it is gets a digest."""
    if _PLAIN.fullmatch(name) and not name.startswith("."):
        return name
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:60].lstrip(".")
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
