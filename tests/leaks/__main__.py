"""``make leaks``: 20 000 paglets created, moved and disposed of between two hosts, which must hold no more for it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.site import Site
from tests.leaks.cycles import run
from tests.leaks.judging import PROGRAM, judge

CYCLES = 20_000


def main() -> int:
    """Run and judge; 0: all is level."""
    parser = argparse.ArgumentParser(prog="python -m tests.leaks", description=__doc__)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--batches", type=int, default=40, help="how often the hosts are looked at")
    options = parser.parse_args()
    begun = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s {line}", flush=True)  # noqa: T201

    with tempfile.TemporaryDirectory(prefix="paglets-leaks-") as folder:
        root = Path(folder) / "site"
        with Site(PROGRAM, root) as site:
            for name in ("a", "b"):
                site.start(name)
            site.wait_until_known(2)
            made = run(site, root, options.cycles, max(1, options.cycles // options.batches), tell)
        lines, faults = judge(made, root)
    print("\n".join([*lines, "", *(faults or ["all is level"])]))  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
