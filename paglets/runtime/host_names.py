"""What a host may be called."""

from __future__ import annotations

from paglets.core.errors import HostError

MAX_NAME = 63
"""Letters: a label of DNS has no more, RFC 1035, 2.3.4."""


def require_name(name: str) -> str:
    """A host's name as it may be; ``HostError`` otherwise."""
    if not name or len(name) > MAX_NAME or not all(letter.isalnum() or letter in "-_." for letter in name):
        raise HostError(f"{_shown(name)} is no host name: use up to {MAX_NAME} letters, digits and - _ .")
    return name


def _shown(name: str) -> str:
    return repr(name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…")
