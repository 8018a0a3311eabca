"""``make scale``: how costs grow with what a host holds, with states and with hosts; ``build/scale.json``, pictures.

Times are the lowest of several, so that a machine that does something else meanwhile spoils them less.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.scale import measuring
from tests.scale.drawing import draw

if TYPE_CHECKING:
    from tests.scale.curves import Curve

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "dist" / "paglets" / "paglets"
TITLES = {
    "inactive": "Parked paglets on one host",
    "active": "Active paglets on one host",
    "states": "Size of a state",
    "hosts": "Hosts in a mesh",
}


def main() -> None:
    """Measure, print, write, draw."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.scale", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--source", action="store_true", help="hosts from source, not of the frozen program")
    parser.add_argument("--only", action="append", choices=(*TITLES, "moving"), help="may be given again")
    parser.add_argument("--pictures", type=Path, default=ROOT / "build", help="where the pictures go")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "scale.json")
    options = parser.parse_args()
    program = [sys.executable, "-m", "edge"] if options.source else [str(PROGRAM)]
    begun = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {line}", flush=True)  # noqa: T201

    told: dict[str, float] = json.loads(options.output.read_text()) if options.output.exists() else {}
    wanted = options.only or [*TITLES, "moving"]
    amounts = measuring.Amounts()
    with tempfile.TemporaryDirectory(prefix="paglets-scale-") as folder:
        for name, title in TITLES.items():
            if name in wanted:
                curves: list[Curve] = getattr(measuring, name)(program, Path(folder), amounts, tell)
                draw(options.pictures / f"growth-{name}.svg", title, curves)
                for curve in curves:
                    tell(f"{curve.title} over {curve.amount}: exponent {curve.exponent():.2f}")
                    told |= curve.flat()
        if "moving" in wanted:
            told |= measuring.moving(program, Path(folder), amounts, tell)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
