"""Events that readers fetch in pieces, each going on from where it was."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paglets.patterns.owners import StateOwner


class CursorState(Protocol):
    """What the state has: the events that are kept, oldest first, and the number that the next one gets."""

    events: list[Any]
    next_cursor: int


class CursorDrainMixin:
    """For a paglet whose state has ``events: list`` and ``next_cursor: int = 1``.

    Events are numbered from 1 in the order in which they were appended; the last one's number is
    ``next_cursor - 1``. One that has a field ``cursor`` (a dataclass, or a dict with that key) is told its
    number there.
    """

    def cursor_append_events(self: StateOwner[CursorState], events: Iterable[Any]) -> int:
        """Append events; the number of the last event there is (0: there was none ever)."""
        with self.locked_state() as state:
            for event in events:
                state.events.append(_numbered(event, state.next_cursor))
                state.next_cursor += 1
            last = state.next_cursor - 1
        self.notify_all_state_changed()
        return last

    def cursor_drain_events(
        self: StateOwner[CursorState], *, after_cursor: int, limit: int
    ) -> tuple[list[Any], int, bool]:
        """The events after that number, ``limit`` at most; the number to go on from; whether there are more.

        Nothing is taken away: every reader has a cursor of its own. Events that were discarded are passed over.
        """
        with self.locked_state() as state:
            first = state.next_cursor - len(state.events)
            begin = max(0, after_cursor + 1 - first)
            found = state.events[begin : begin + max(0, limit)]
            cursor = first + begin + len(found) - 1 if found else after_cursor
            return found, cursor, begin + len(found) < len(state.events)

    def cursor_discard_events(self: StateOwner[CursorState], *, up_to: int) -> int:
        """Forget the events up to that number, which every reader has seen; how many that were."""
        with self.locked_state() as state:
            first = state.next_cursor - len(state.events)
            gone = min(max(0, up_to + 1 - first), len(state.events))
            del state.events[:gone]
            return gone


def _numbered(event: Any, number: int) -> Any:
    if isinstance(event, dict):
        fields = cast("dict[Any, Any]", event)
        return {**fields, "cursor": number} if "cursor" in fields else fields
    if dataclasses.is_dataclass(event) and not isinstance(event, type) and hasattr(event, "cursor"):
        return dataclasses.replace(event, cursor=number)
    return event
