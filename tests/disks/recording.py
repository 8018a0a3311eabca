"""What was written to a disk in which order, and the disks that a power cut may leave of it.

A power cut keeps what was synced. Of the rest it keeps any part: of each write any of its sectors, whatever was
written earlier or later. Names are made, changed and taken away in a journal, as common file systems do it: those
before the last synced directory are kept, and of the later ones any beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import random
    from pathlib import Path

ROOT = 1
PAGE = 4096
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was asked of the disk."""

    what: Literal["write", "truncate", "sync", "make", "remove", "move", "link", "sync-names"]
    node: int
    """The file; for names, their directory."""
    offset: int = 0
    """Of a write; the size after a truncation."""
    data: bytes = b""
    name: str = ""
    other: int = 0
    """The node that is made; the directory that is moved to."""
    new_name: str = ""
    is_directory: bool = False

    @property
    def is_of_names(self) -> bool:
        """Whether it changes a directory."""
        return self.what in {"make", "remove", "move", "link"}


@dataclass
class Image:
    """A disk."""

    files: dict[int, bytearray] = field(default_factory=dict[int, bytearray])
    names: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})

    def apply(self, step: Step) -> None:
        """Do one thing."""
        match step.what:
            case "write":
                self._put(step.node, step.offset, step.data)
            case "truncate":
                file = self.files.setdefault(step.node, bytearray())
                del file[step.offset :]
                file.extend(bytes(step.offset - len(file)))
            case "make":
                self.names[step.node][step.name] = step.other
                if step.is_directory:
                    self.names[step.other] = {}
                else:
                    self.files.setdefault(step.other, bytearray())
            case "remove":
                self.names[step.node].pop(step.name, None)
            case "move":
                self.names[step.other][step.new_name] = self.names[step.node].pop(step.name)
            case "link":
                self.names[step.node][step.name] = step.other
            case "sync" | "sync-names":
                return

    def _put(self, node: int, offset: int, data: bytes) -> None:
        file = self.files.setdefault(node, bytearray())
        file.extend(bytes(max(0, offset + len(data) - len(file))))
        file[offset : offset + len(data)] = data

    def write_to(self, directory: Path, node: int = ROOT) -> None:
        """Make real files of it."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, found in self.names[node].items():
            if found in self.names:
                self.write_to(directory / name, found)
            else:
                (directory / name).write_bytes(self.files.get(found, b""))
                (directory / name).chmod(0o600)


def after_power_cut(steps: list[Step], chance: random.Random) -> Image:
    """One of the disks that a power cut right after those steps may leave."""
    synced: dict[int, int] = {}
    journal = 0
    for number, step in enumerate(steps):
        if step.what == "sync":
            synced[step.node] = number
        elif step.what == "sync-names":
            journal = number
    last_name = chance.randint(journal, len(steps))
    # Sometimes nearly all of it has reached the disk, sometimes nearly nothing.
    share, grain = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0]), chance.choice([SECTOR, PAGE])
    image = Image()
    for number, step in enumerate(steps):
        if step.is_of_names:
            if number <= last_name:
                image.apply(step)
        elif number < synced.get(step.node, -1):
            image.apply(step)
        elif step.what == "write":
            for start in range(0, len(step.data), grain):
                if chance.random() < share:
                    part = step.data[start : start + grain]
                    image.apply(Step("write", step.node, step.offset + start, part))
        elif chance.random() < share:
            image.apply(step)
    return image
