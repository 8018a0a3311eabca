"""Soak from the command line; exit status 1 when a promise was broken."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time

from tests.transfers.soaking.simulation import Tally, simulate, walk


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.transfers.soaking", description=__doc__)
    arguments.add_argument("--moves", type=int, default=1_000_000)
    arguments.add_argument(
        "--seed", type=int, default=None, help="the first seed; chosen when it is left out"
    )
    arguments.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments.add_argument(
        "--replay", type=int, metavar="SEED", help="walk that seed again, telling each step"
    )
    given = arguments.parse_args()
    if given.replay is not None:
        tally = walk(given.replay, told=tell)
        report(tally)
        return bool(tally.broken)
    seed = random.randrange(10**9) if given.seed is None else given.seed
    tell(f"from seed {seed}")
    began = time.monotonic()
    tally = simulate(given.moves, seed, processes=given.processes)
    report(tally)
    tell(f"{tally.moves / (time.monotonic() - began):.0f} moves a second")
    return bool(tally.broken)


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def report(tally: Tally) -> None:
    for title, counts in (("operations", tally.operations), ("faults", tally.faults)):
        shown = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        tell(f"{title}: {shown}")
    for broken in tally.broken[:3]:
        tell(str(broken))
        tell(f"  again: python -m tests.transfers.soaking --replay {broken.seed}")
    tell(f"moves {tally.moves}, faults {tally.faults.total()}, lost {tally.lost}, doubled {tally.doubled}")


if __name__ == "__main__":
    raise SystemExit(main())
