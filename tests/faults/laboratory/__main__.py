"""The fault laboratory: ``python -m tests.faults.laboratory``; see ``docs/reliability.md``."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.laboratory import by_command, leftovers, real, simulated, topics
from tests.faults.laboratory.ledger import Ledger, publish
from tests.faults.laboratory.plan import FAST, FULL
from tests.faults.laboratory.progress import Progress

if TYPE_CHECKING:
    from types import FrameType

    from tests.faults.laboratory.ledger import Part
    from tests.faults.laboratory.plan import Plan

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build" / "faults"
PAGE = ROOT / "docs" / "reliability.md"
PARTS = ("real", "commands", "simulated", "topics")


def main(words: list[str]) -> int:
    """Run it; 0: nothing is lost or doubled, and everything came to rest."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.laboratory", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the long form")
    parser.add_argument("--seed", type=int, default=0, help="repeats the choices of a run, not its timing")
    parser.add_argument("--moves", type=int, default=0, help="another number of moves of real hosts")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--keep", action="store_true", help="keep the hosts' directories and logs")
    parser.add_argument(
        "--publish", action="store_true", help="put the last full run into docs/reliability.md"
    )
    options = parser.parse_args(words)
    if options.publish:
        publish(BUILD / f"ledger-{FULL.name}.md", PAGE)
        return 0
    plan = FULL if options.full else FAST
    if options.moves:
        plan = replace(plan, moves=options.moves)
    parts = tuple(options.only or PARTS)
    return _run(plan, options.seed or random.randrange(1, 1 << 30), parts, keep=options.keep)


def _run(plan: Plan, seed: int, parts: tuple[str, ...], *, keep: bool) -> int:
    signal.signal(signal.SIGTERM, _end)
    BUILD.mkdir(parents=True, exist_ok=True)
    for left in leftovers.sweep(BUILD):
        sys.stderr.write(f"left by an earlier run: {left}\n")
    root = BUILD / f"{leftovers.RUN}{os.getpid()}"
    root.mkdir()
    ledger = Ledger(plan.name, ROOT)
    try:
        with Progress() as progress:
            progress.say(f"{plan.name} run, seed {seed}")
            for part in parts:
                ledger.parts += _part(part, plan, seed, root, progress)
    finally:
        if not ledger.good:  # for whoever looks into it
            kept = BUILD / f"failed-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(root, kept, symlinks=True)
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
    page = ledger.write(BUILD)
    sys.stdout.write(page.read_text())
    return 0 if ledger.good else 1


def _part(name: str, plan: Plan, seed: int, root: Path, progress: Progress) -> list[Part]:
    if name == "real":
        return [real.run(plan, seed, root / "real", progress)]
    if name == "commands":
        return [by_command.run(plan, seed, root / "commands", progress)]
    if name == "simulated":
        return [simulated.run(plan, seed, progress)]
    return topics.run(plan, root, progress)


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
