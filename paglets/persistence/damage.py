"""What was found damaged in the store: reported once, kept in quarantine, and in nobody's way but its own."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


BLOB_CONTENT = "blob content"
"""Where a table's name is asked for: the bytes of a blob, by its digest. They stay where they are."""


class Damage(msgspec.Struct, frozen=True):
    """One record that does not decode, or one blob that does not have its digest."""

    table: str
    key: bytes
    reason: str

    def __str__(self) -> str:
        return f"{self.table} {self.shown_key}: {self.reason}"

    @property
    def shown_key(self) -> str:
        """The key as text: an id, or hexadecimal digits."""
        text = self.key.decode("utf-8", "replace")
        return text if text.isprintable() and "\ufffd" not in text else self.key.hex()


class DamageLog:
    """Remembers damaged records by table and key; used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, bytes], Damage] = {}
        self._listeners: list[Callable[[Damage], None]] = []
        self._unmoved: list[Damage] = []

    def listen(self, *listeners: Callable[[Damage], None] | None) -> None:
        """Have these called with each newly found record, on the thread that found it."""
        self._listeners += [listener for listener in listeners if listener is not None]

    def blocks(self, table: str, key: bytes) -> bool:
        """Whether that record is known to be damaged. An id whose record is lost must not look unknown."""
        return bool(self._found) and (table, key) in self._found

    def remember(self, damage: Damage) -> bool:
        """Note a record without telling anyone, as one that is in quarantine already; whether it is new."""
        with self._lock:
            known = len(self._found)
            self._found.setdefault((damage.table, damage.key), damage)
            return len(self._found) > known

    def report(self, damage: Damage) -> None:
        """Note, log and pass on a record that was just found damaged."""
        if not self.remember(damage):
            return
        log.error(
            "something in the store is damaged, and goes into quarantine",
            extra={"table": damage.table, "key": damage.shown_key, "reason": damage.reason},
        )
        if not self._listeners:
            self._unmoved.append(damage)
        for listener in self._listeners:
            listener(damage)

    def unmoved(self) -> list[Damage]:
        """What was reported before anybody listened."""
        found, self._unmoved = self._unmoved, []
        return [damage for damage in found if self.blocks(damage.table, damage.key)]

    def forget(self, damage: Damage) -> None:
        """Drop a record that an operator has dealt with."""
        with self._lock:
            self._found.pop((damage.table, damage.key), None)

    def all(self) -> list[Damage]:
        """Everything that is in quarantine or on its way there."""
        with self._lock:
            return list(self._found.values())
