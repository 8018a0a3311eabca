"""The hidden way into this program as the process that imports authors' modules, so that nobody else has to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WAY = "--paglets-inspect"
# What comes after the double dash is the search path of who wants this process.
_BOOT = (
    "import sys; sys.path[:] = sys.argv[sys.argv.index('--') + 1:]; "
    "from paglets.tooling.inspected import maybe_inspect; maybe_inspect(sys.argv)"
)


def inspecting_command(timeout: float, root: str) -> list[str]:
    """The command line of such a process. A module gets ``timeout`` seconds.

    It sees this process's ``sys.path``, and before it the directory ``root``, unless that is empty.
    """
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-c", _BOOT]
    return [*program, WAY, str(timeout), root, "--", *sys.path]


def maybe_inspect(argv: Sequence[str]) -> None:
    """For the ``main()`` of a frozen program to call before anything else: returns on an ordinary start."""
    match list(argv[1:]):
        case [way, timeout, root, "--", *path] if way == WAY:
            sys.path[:] = path
            from paglets.tooling.inspecting import serve  # noqa: PLC0415 - an ordinary start is fast

            serve(float(timeout), root)
        case _:
            pass
