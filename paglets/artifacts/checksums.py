"""Digests of files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, lower-case hex. Reads in pieces; raises what opening and reading raise."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
