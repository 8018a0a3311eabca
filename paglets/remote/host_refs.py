"""A host of the mesh as a value. Apart from the registry, since paglets that ask for hosts pay for the import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class HostRef:
    """One host of the mesh, as it was last heard of."""

    name: str
    url: str
    code_version: str
    online: bool
    last_seen: float
    """Unix time of its last sign of life here."""
    active_count: int
    inactive_count: int
    tags: tuple[str, ...] = ()
    """Lower-case, sorted, each once."""
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None
    """Why it cannot be reached; none for a host that can."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", normal_tags(self.tags))
        object.__setattr__(self, "properties", dict(self.properties))

    def to_wire(self) -> dict[str, Any]:
        """Write as a JSON object; ``error`` only when set."""
        wire: dict[str, Any] = {
            "name": self.name,
            "url": self.url,
            "code_version": self.code_version,
            "online": self.online,
            "last_seen": self.last_seen,
            "active_count": self.active_count,
            "inactive_count": self.inactive_count,
            "tags": list(self.tags),
            "properties": dict(self.properties),
        }
        if self.error is not None:
            wire["error"] = self.error
        return wire

    @classmethod
    def from_wire(cls, payload: dict[str, Any]) -> HostRef:
        """Read what ``to_wire`` wrote; ``ValueError`` for what is no host reference."""
        try:
            return msgspec.convert(payload, _HostRefWire).ref()
        except msgspec.ValidationError as error:
            raise ValueError(f"not a host reference: {error}") from error


class _HostRefWire(msgspec.Struct, frozen=True):
    """The wire form, for validation."""

    name: str
    url: str
    code_version: str = ""
    online: bool = False
    last_seen: float = 0.0
    active_count: int = 0
    inactive_count: int = 0
    tags: tuple[str, ...] = ()
    properties: dict[str, Any] = {}
    error: str | None = None

    def ref(self) -> HostRef:
        """As the public value."""
        return HostRef(
            self.name,
            self.url,
            self.code_version,
            self.online,
            self.last_seen,
            self.active_count,
            self.inactive_count,
            self.tags,
            self.properties,
            self.error,
        )


def normal_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as they are kept: lower-case, sorted, each once."""
    return tuple(sorted({tag.strip().lower() for tag in tags if tag.strip()}))
