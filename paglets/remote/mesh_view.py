"""A picture of the mesh at one moment: immutable, so that any thread may read it without asking the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.remote.members import HostFacts


@dataclass(frozen=True, slots=True)
class SeenHost:
    """One host as it was at that moment."""

    facts: HostFacts
    url: str
    """Where it is known to be; what it announces, unless only another URL answered."""
    urls: tuple[str, ...]
    """Everywhere it may be reached."""
    online: bool
    last_seen: float
    """Unix time."""
    error: str = ""
    """Why it cannot be reached."""
    left: bool = False
    """Whether it said goodbye."""


@dataclass(frozen=True, slots=True)
class MeshView:
    """The mesh at one moment."""

    own: HostFacts
    others: tuple[SeenHost, ...] = ()
    seeds: tuple[str, ...] = ()
    """URLs that somebody named, whether or not a host answered there."""
