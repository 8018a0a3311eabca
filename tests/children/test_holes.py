"""Free memory between what is kept is filled, so that new objects lie together."""

from __future__ import annotations

import subprocess
import sys

import pytest

_MAKE = """
import sys
from paglets.runtime.launchers.holes import fill_holes
kept = [bytes(SIZE) for _ in range(2700)]
del kept[::3]
filling = fill_holes() if sys.argv[1] == "filled" else []
made = [bytes(SIZE) for _ in range(300)]
print(len({id(each) // 4096 for each in made}))
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="is about CPython's allocator")
@pytest.mark.parametrize("size", [20, 67, 90])
def test_what_is_made_after_holes_are_filled_lies_together(size: int) -> None:
    pages = {each: _pages(size, each) for each in ("filled", "not")}
    side_by_side = 300 * (size + 33) / 4096
    assert pages["not"] > 2 * side_by_side
    assert pages["filled"] < 1.3 * side_by_side + 3


def _pages(size: int, how: str) -> int:
    # Without the debugging allocator of -X dev, which lays things out differently.
    command = [sys.executable, "-c", _MAKE.replace("SIZE", str(size)), how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout)
