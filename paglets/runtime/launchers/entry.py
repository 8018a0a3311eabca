"""The hidden ways into this program: as a zygote, or as a spawned child."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ZYGOTE = "--paglets-zygote"
CHILD = "--paglets-child"

# What comes after the double dash is the search path of who wants this process: it found the library there.
BOOT = (
    "import sys; sys.path[:] = sys.argv[sys.argv.index('--') + 1:]; "
    "from paglets.runtime.launchers.entry import maybe_run; maybe_run(sys.argv)"
)


def own_command(way: str, *arguments: str, path: Sequence[str] | None = None) -> list[str]:
    """The command line that starts this program anew, in one of its hidden ways; frozen or not.

    ``path``: its ``sys.path``; None: this process's own.
    """
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-c", BOOT]
    return [*program, way, *arguments, "--", *(sys.path if path is None else path)]


def maybe_run(argv: Sequence[str]) -> bool:
    """For ``main()`` to call before anything else with ``sys.argv``: False when this is an ordinary start.

    In a hidden way it does its work and never returns.
    """
    match list(argv[1:]):
        case [way, root, program, "--", *path] if way == ZYGOTE:
            from paglets.runtime.launchers.zygote_process import run_zygote  # noqa: PLC0415 - an ordinary start is fast

            sys.path[:] = path
            run_zygote(socket.socket(fileno=int(root)), int(program))
        case [way, link, parent, life_file, "--", *path] if way == CHILD:
            from paglets.runtime.launchers.newborn import run_spawned  # noqa: PLC0415 - an ordinary start is fast

            sys.path[:] = path
            run_spawned(int(link), int(parent), life_file)
        case _:
            pass
    return False
