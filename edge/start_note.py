"""Why a host did not start, left beside its socket for `paglets status`: nobody else would know but the log."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 4000


def leave(socket_path: Path, why: str) -> None:
    """Say why the host of that socket did not start."""
    with contextlib.suppress(OSError):
        socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _place(socket_path).write_text(why[:_MOST])


def clear(socket_path: Path) -> None:
    """It has started."""
    with contextlib.suppress(OSError):
        _place(socket_path).unlink()


def read(socket_path: Path) -> str:
    """Why it did not start the last time; empty when it did, or nobody knows."""
    try:
        with _place(socket_path).open() as file:
            return file.read(_MOST)
    except (OSError, UnicodeDecodeError):
        return ""


def _place(socket_path: Path) -> Path:
    return socket_path.with_suffix(".failed")
