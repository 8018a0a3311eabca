"""``make bench``: our figures and the limits they are held against, measured together; ``build/bench.json``.

Timings are for people, and to be compared within one run only: nothing here is a test. Hosts run as processes of
the frozen program, over loopback, with default settings.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.bench import limits, measuring
from tests.bench.figures import FIGURES
from tests.bench.report import reached, table
from tests.bench.samples import Samples
from tests.bench.site import Site

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build" / "dist" / "paglets"
SINGLE_FILE = ROOT / "build" / "dist" / "paglets-onefile"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="fewer of everything: under a minute")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "bench.json", help="where the figures go"
    )
    options = parser.parse_args()
    amounts = measuring.QUICK if options.quick else measuring.FULL
    progress, console = Console(stderr=True), Console(width=180)
    load = os.getloadavg()[0]
    if load > 0.5:
        progress.print(f"the machine is busy (load {load:.1f}): the figures will be worse than they are")
    begun = time.monotonic()
    samples = Samples(
        lambda line: progress.print(f"  {time.monotonic() - begun:5.0f} s  {line}", highlight=False)
    )
    with tempfile.TemporaryDirectory(prefix="paglets-bench-") as folder:
        measure(samples, Path(folder), amounts)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(samples.flat(), indent=1) + "\n")
    console.print(table(samples))
    short = [figure.key for figure in FIGURES if reached(figure, samples) == "-"]
    at_aim = sum(reached(figure, samples) == "aim" for figure in FIGURES)
    console.print(
        f"{len(FIGURES)} figures: {len(FIGURES) - len(short)} at must, {at_aim} of them at aim; short: "
        f"{', '.join(short) or 'none'}. "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}."
    )


def measure(samples: Samples, root: Path, amounts: measuring.Amounts) -> None:
    """Take every figure once."""
    program = [str(TREE / "paglets")]
    measuring.sizes(samples, TREE, SINGLE_FILE)
    measuring.starting(samples, program, root, amounts)
    with Site(program, root / "site") as site:
        for name in ("a", "b", "c"):
            site.start(name)
        site.wait_until_known(3)
        measuring.idling(samples, site, amounts)
        paglet = measuring.lives(samples, site, root, amounts)
        measuring.messages(samples, site, paglet, root, amounts)
        measuring.moves(samples, site, paglet, root, amounts)
        measuring.artifacts(samples, site, root, amounts)
    limits.fork(samples, amounts.lives)


if __name__ == "__main__":
    main()
