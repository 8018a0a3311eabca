"""Makes the names in a directory durable: a synced file whose name is lost in a power cut is lost too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Sync what was created, renamed or deleted in a directory (fsync(2))."""
    if os.name == "nt":
        return  # directories cannot be opened there, and renames are journaled
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
