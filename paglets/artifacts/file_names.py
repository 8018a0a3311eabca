"""Names of files that come from somebody else."""

from __future__ import annotations

import re

MAX_NAME_BYTES = 200
"""File systems allow 255; what is written beside a file has a longer name than the file."""
MAX_LABEL = 200
"""Characters of the name under which a paglet registers a file."""
_FALLBACK = "file"
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_target_filename(name: str) -> str:
    r"""A plain file name made of any text: it leads nowhere, hides nothing, and can be written everywhere.

    Of a path (with ``/`` or ``\``) the last part. What file systems do not take becomes ``_``; a name of which
    nothing is left becomes ``file``. A suffix is kept when a long name is cut.
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(character if _is_plain(character) else "_" for character in last)
    shown = shown.strip(" ").rstrip(". ").lstrip(". ")
    if _WINDOWS_DEVICES.fullmatch(shown):
        shown = f"_{shown}"
    return _shortened(shown) or _FALLBACK


def check_label(name: str) -> str:
    """The name under which a file is registered; ``ValueError`` unless it is one line that is no path."""
    wrong = not name or name != name.strip() or not name.isprintable() or len(name) > MAX_LABEL
    if wrong or name in {".", ".."} or "/" in name or "\\" in name:
        raise ValueError(
            f"{name[:80]!r} is no name for a file: use a line of 1 to {MAX_LABEL} characters without separators"
        )
    return name


def _is_plain(character: str) -> bool:
    return character.isprintable() and character not in '<>:"|?*'


def _shortened(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > MAX_NAME_BYTES // 4:
        stem, dot, suffix = name, "", ""
    room = MAX_NAME_BYTES - len((dot + suffix).encode("utf-8", "replace"))
    return stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + dot + suffix
