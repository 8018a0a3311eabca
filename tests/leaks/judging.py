"""What of a host has to stay level, and how level; and what is kept on purpose, until when."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.persistence.journal.forgetting import RECORD_LIFETIME
from paglets.persistence.store import Store
from paglets.runtime.forgetting import Forgetter
from tests.leaks.holdings import PAGE_BYTES, StoreHoldings, holdings_of_store
from tests.leaks.level import trend

if TYPE_CHECKING:
    from tests.leaks.cycles import Run

PROGRAM = (sys.executable, str(Path(__file__).with_name("trimmed_host.py")))

MARGINS = {
    "descriptors": 2.0,
    "threads": 2.0,
    "processes": 0.0,
    "memory_kib": 3 * 1024.0,
    "own_kib": 3 * 1024.0,
}
"""By how much the fitted line may rise over a run of any length. Memory: what is in use; see ``trimmed_host``."""
NOTE_BYTES = 5 * 1024
"""What a paglet that has left or was disposed of may take of the store, until that is forgotten: note and passport."""
PAGES_MORE = 32
"""What a store may hold more when all of that is forgotten: pages that were split are not joined at once."""


def judge(made: Run, root: Path) -> tuple[list[str], list[str]]:
    """What became of each figure, for people; and what is not as it should be. The hosts have ended."""
    lines: list[str] = []
    faults: list[str] = []
    for name in made.seen:
        for what, margin in MARGINS.items():
            found = trend(made.cycles, made.series(name, what))
            lines.append(
                f"{name} {what:12} level {found.level:8.0f}  growth {found.growth:+8.1f}  may {margin:g}"
            )
            if found.growth > margin:
                faults.append(
                    f"{what} of host {name} grew by {found.growth:.1f}, {found.per_cycle:.4f} a cycle"
                )
        told, wrong = _judge_store(name, made, root / name)
        lines += told
        faults += wrong
    return lines, faults


def _judge_store(name: str, made: Run, data_dir: Path) -> tuple[list[str], list[str]]:
    first, last = made.first[name], made.seen[name][-1]
    (path,) = data_dir.rglob("store.lmdb")
    asyncio.run(_forget(path.parent))
    forgotten = holdings_of_store(data_dir)
    notes = last.notes - first.notes
    each = (last.pages - first.pages) * PAGE_BYTES / notes
    lines = [
        f"{name} store        {notes} notes of paglets that are gone, {each:.0f} bytes each",
        f"{name} store        before: {_told(first)}; 31 days later: {_told(forgotten)}",
    ]
    wrong: list[str] = []
    if notes != made.cycles[-1] or each > NOTE_BYTES:
        wrong.append(f"host {name} keeps {notes} notes of {made.cycles[-1]} paglets, {each:.0f} bytes each")
    if (forgotten.notes, forgotten.blobs) != (first.notes, first.blobs):
        wrong.append(f"the store of host {name} never forgets all that it should: {forgotten}, not {first}")
    if forgotten.pages > first.pages + PAGES_MORE:
        wrong.append(
            f"the store of host {name} has {forgotten.pages} pages in use, and began with {first.pages}"
        )
    return lines, wrong


def _told(store: StoreHoldings) -> str:
    return f"{store.pages} pages, {store.blobs} blobs, {store.notes} records"


async def _forget(store_dir: Path) -> None:
    """Forget what is to be forgotten a month from now."""
    with Store(store_dir) as store:
        await Forgetter(store, clock=lambda: time.time() + RECORD_LIFETIME + 24 * 3600).sweep()
