"""The end of a host, part by part: one that does not end is named, and the others end all the same."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import CodeType

logger = logging.getLogger(__name__)

_GRACE = 1.0
"""Seconds that a part has after it was cancelled."""
_TASKS_SHOWN = 20


class Part(NamedTuple):
    """Something to be closed."""

    name: str
    close: Callable[[], Awaitable[None]]


async def close_in_order(parts: Iterable[Part], *, patience: float) -> None:
    """Close one part after the other. Each has ``patience`` seconds; then it is cancelled, and left.

    Where every task of the loop is, that part among them, is logged then. A part that raises is logged, too,
    and keeps no other one from being closed. Bounded: ``patience`` and a second for each part.
    """
    for part in parts:
        closing = asyncio.ensure_future(part.close())
        try:
            await asyncio.wait((closing,), timeout=patience)
            if not closing.done():
                _report(part.name, patience)
        finally:
            closing.cancel()
        await asyncio.wait((closing,), timeout=_GRACE)
        if closing.done() and not closing.cancelled() and (error := closing.exception()) is not None:
            logger.error("%s did not close as it should", part.name, exc_info=error)


def _report(name: str, patience: float) -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    logger.error(
        "%s did not close within %g s, and is left; %d tasks are at work:\n%s",
        name,
        patience,
        len(tasks),
        "\n".join(f"{task.get_name()}: {waits_at(task)}" for task in tasks[:_TASKS_SHOWN]),
    )


def waits_at(task: asyncio.Task[object]) -> str:
    """Where a task is, from its outermost coroutine to the one that waits: ``file:line function`` of each."""
    places: list[str] = []
    awaited: object = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            code: CodeType = frame.f_code
            places.append(f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {code.co_qualname}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return " > ".join(places)
