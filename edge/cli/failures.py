"""How commands fail: exit codes, and sentences for people.

::

    CommandError          1: the operation failed
    ├── UsageError        2: the command was called wrongly
    └── NoHostError       3: no host answers where one was looked for
"""

from __future__ import annotations

from typing import ClassVar

from paglets.core.errors import (
    PagletCrashedError,
    PagletError,
    ResourceCleanupError,
    TransferInDoubtError,
)

DONE = 0
FAILED = 1
WRONG_USE = 2
NO_HOST = 3
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

_MAX_SENTENCE = 2000
_HINTS: dict[type[PagletError], str] = {
    PagletCrashedError: "`paglets logs ID` shows what it printed last.",
    ResourceCleanupError: "The paglet stays as it was.",
    TransferInDoubtError: "`paglets transfers` shows when it is settled.",
}


class CommandError(Exception):
    """The command did not do what it was asked; its text tells a person what happened and what to do."""

    exit_code: ClassVar[int] = FAILED


class UsageError(CommandError):
    """The command was called wrongly; nothing was done."""

    exit_code: ClassVar[int] = WRONG_USE


class NoHostError(CommandError):
    """No host answers where one was looked for."""

    exit_code: ClassVar[int] = NO_HOST


def sentence(error: BaseException) -> str:
    """An error as one paragraph for a terminal: one line, bounded, without control characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
    if hint and "`paglets" not in text:
        text = f"{text.rstrip('.')}. {hint}"
    return printable(text if len(text) <= _MAX_SENTENCE else text[:_MAX_SENTENCE] + "…")


def printable(text: str) -> str:
    """The text with control characters written out: what a paglet prints shall not drive the terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1]
        for character in text
    )
