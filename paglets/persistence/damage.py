"""What was found damaged in the store: reported once, kept in quarantine, and in nobody's way but its own."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Damage(msgspec.Struct, frozen=True):
    """One record that does not decode."""

    table: str
    key: bytes
    reason: str

    def __str__(self) -> str:
        return f"{self.table} record {self.key.decode('utf-8', 'backslashreplace')!r}: {self.reason}"


class DamageLog:
    """Remembers damaged records, by table and key, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, bytes], Damage] = {}
        self.on_damage: Callable[[Damage], None] | None = None
        """Called once for each record, from the thread that found it."""
        self.move: Callable[[Damage], None] = lambda damage: None
        """Asks the writer to move the record into quarantine."""

    def blocks(self, table: str, key: bytes) -> bool:
        """Whether that record is known to be damaged. An id whose record is lost must not look unknown."""
        return bool(self._found) and (table, key) in self._found

    def remember(self, damage: Damage) -> bool:
        """Note a record found in quarantine; False when it was known."""
        with self._lock:
            if (damage.table, damage.key) in self._found:
                return False
            self._found[damage.table, damage.key] = damage
            return True

    def report(self, damage: Damage) -> None:
        """Note, log and pass on a record that was just found damaged, and have it moved."""
        if not self.remember(damage):
            return
        log.error(
            "a damaged record goes into quarantine",
            extra={"table": damage.table, "key": damage.key.hex(), "reason": damage.reason},
        )
        self.move(damage)
        if self.on_damage is not None:
            self.on_damage(damage)

    def forget(self, damage: Damage) -> None:
        """Drop a record that an operator has dealt with."""
        with self._lock:
            self._found.pop((damage.table, damage.key), None)

    def all(self) -> list[Damage]:
        """Everything that is in quarantine or on its way there."""
        with self._lock:
            return list(self._found.values())
