"""The part with real processes: paglets travel, everything else goes wrong, and then they are counted."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.faults.laboratory import counting
from tests.faults.laboratory.acts import act
from tests.faults.laboratory.books import Books, Standing
from tests.faults.laboratory.chaos import Chaos
from tests.faults.laboratory.field import Field
from tests.faults.laboratory.ledger import Part
from tests.faults.laboratory.pilot import Pilot, Traffic
from tests.faults.laboratory.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.laboratory.plan import Plan
    from tests.faults.laboratory.progress import Progress

_JOIN_SECONDS = 90.0
_LOUD = (" ERROR ", " CRITICAL ")
_TRACEBACK = "Traceback (most recent call last)"


def run(plan: Plan, seed: int, root: Path, progress: Progress) -> Part:
    """All of it; what came of it."""
    begun = time.monotonic()
    part = Part("real processes", seed=str(seed))
    field = Field(root, plan.hosts)
    part.about = f"{len(plan.hosts)} hosts, {plan.pilots} pilots, {field.wires.what}"
    try:
        progress.say(f"starting {len(plan.hosts)} hosts: {field.wires.what}")
        field.start()
        books = Books(root / "diary.log")
        _traffic(plan, seed, field, books, part, progress)
        _count(field, books, part, progress)
    except (counting.RestlessError, TimeoutError) as error:
        part.problems.append(str(error))
    finally:
        part.seconds = time.monotonic() - begun
        field.close()
    part.notes += _loud(field)
    part.problems += _left_open(field)
    return part


def _traffic(plan: Plan, seed: int, field: Field, books: Books, part: Part, progress: Progress) -> None:
    traffic, dice = Traffic(), random.Random(f"{seed} pauses")
    chaos = Chaos(field, traffic, f"{seed} chaos")
    with ThreadPoolExecutor(plan.pilots, "beside") as aside:
        pilots = [
            Pilot(number, field, books, traffic, seed=f"{seed} pilot {number}", aside=aside, acts=act)
            for number in range(plan.pilots)
        ]
        for pilot in pilots:
            pilot.start()
        deadline = time.monotonic() + plan.longest
        strike_at = time.monotonic() + 1.0
        try:
            while (moves := books.moves()) < plan.moves or chaos.struck.total() < plan.faults:
                progress.show(moves, plan.moves, chaos.struck.total())
                if time.monotonic() > deadline:
                    part.problems.append(
                        f"only {moves} moves and {chaos.struck.total()} faults in {plan.longest:g} s"
                    )
                    break
                chaos.attend()
                if time.monotonic() > strike_at:
                    chaos.step()
                    strike_at = time.monotonic() + dice.uniform(0.0, 2 * plan.pause)
                time.sleep(0.02)
        finally:
            for pilot in pilots:
                pilot.stopping.set()
        chaos.make_good()
        for pilot in pilots:
            pilot.join(_JOIN_SECONDS)
            if pilot.is_alive():
                part.problems.append(f"{pilot.name} did not end")
            if pilot.broken:
                part.problems.append(f"the laboratory itself is broken: {pilot.broken}")
    part.faults.update(chaos.struck)
    part.problems += chaos.problems
    part.operations = {operation: {} for operation, _ in sorted(books.asked)}
    for (operation, outcome), number in sorted(books.asked.items()):
        part.operations[operation][outcome] = number
    part.moves = books.moves()


def _count(field: Field, books: Books, part: Part, progress: Progress) -> None:
    progress.say("waiting until all has come to rest, then counting")
    found = counting.find(field, books.accounts)
    verdict = judge(books.accounts, found)
    part.lost, part.doubled = verdict.lost, verdict.doubled
    accounts = books.accounts.values()
    part.counted = {
        "paglets there": len(found.copies),
        "acknowledged to be there": sum(account.standing is Standing.THERE for account in accounts),
        "disposed of": sum(account.standing is Standing.GONE for account in accounts),
        "moves that the paglets counted": verdict.moves,
        "acknowledged counts": sum(account.saved for account in accounts),
        "accepted notes": sum(len(account.notes) for account in accounts),
        "dead letters": len(found.dead),
        "failed paglets, woken for the count": 0,
    }
    del part.counted["failed paglets, woken for the count"]
    part.problems += counting.stray_processes(field, list(found.copies))
    part.problems += counting.stop_all(field)
    stored, odd = counting.in_stores(field)
    part.problems += odd
    shown = {copy.agent_id: 1 for copy in found.copies}
    part.lost += [f"{each} is in no store" for each in shown if not stored[each]]
    part.doubled += [f"{each} is in {n} stores" for each, n in stored.items() if n > shown.get(each, 0)]


def _left_open(field: Field) -> list[str]:
    """Parts of hosts that did not close in time, though their hosts stopped for all that."""
    return [
        f"host {machine.name}: {line.strip()}"
        for machine in field
        for line in machine.log().splitlines()
        if "did not close within" in line
    ]


def _loud(field: Field) -> list[str]:
    """Errors that hosts have logged: told, not judged."""
    found: list[str] = []
    for machine in field:
        errors = list(_errors(machine.log().splitlines()))
        if errors:
            found.append(f"host {machine.name} logged {len(errors)} errors, the first: {errors[0][:240]}")
    return found


def _errors(log: list[str]) -> Iterator[str]:
    """A line for each; of a traceback the one that names the exception."""
    for number, line in enumerate(log):
        if any(loud in line for loud in _LOUD):
            yield line.strip()
        elif _TRACEBACK in line:
            yield next((later for later in log[number + 1 :] if later[:1].strip()), line).strip()
