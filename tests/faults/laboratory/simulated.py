"""The simulated part: random walks of the protocol's own machines, each from a seed of its own."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.faults.laboratory.ledger import Part
from tests.transfers.soaking.simulation import simulate

if TYPE_CHECKING:
    from tests.faults.laboratory.plan import Plan
    from tests.faults.laboratory.progress import Progress


def run(plan: Plan, seed: int, progress: Progress) -> Part:
    """Walk, and tell what came of it."""
    progress.say(f"walking {plan.simulated_moves} simulated moves")
    begun = time.monotonic()
    processes = os.cpu_count() or 1
    tally = simulate(plan.simulated_moves, seed, processes=processes)
    part = Part("simulated moves", seed=str(seed))
    part.about = f"The transfer protocol's own machines and rules, {tally.steps.total()} steps in {processes} processes"
    part.simulated = True
    part.moves = tally.moves
    part.faults.update(tally.faults)
    part.operations = {name: {"done": number} for name, number in tally.operations.items()}
    for broken in tally.broken:
        promise = str(broken)
        # What is lost is told so by the walk itself; any other broken promise is a problem, whatever it leads to.
        part.problems.append(promise)
    part.lost = [f"{tally.lost} walks lost something"] * tally.lost
    part.doubled = [f"{tally.doubled} walks doubled something"] * tally.doubled
    part.seconds = time.monotonic() - begun
    return part
