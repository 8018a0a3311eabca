"""Errors as data, and back: how they cross processes and hosts."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any, cast

from paglets.core import errors
from paglets.core.errors import HostError, PagletError, ResourceCleanupError, TransferInDoubtError

logger = logging.getLogger(__name__)

MAX_TEXT = 8 * 1024
"""Characters of a message, and of a note, that cross; what is longer loses its middle."""
MAX_NOTES = 8
"""Notes that cross; the latest are kept, the remote traceback is one of them."""
MAX_FAILURES = 32
"""Failures of a ``ResourceCleanupError`` that cross."""
_MAX_DEPTH = 2  # of failures inside failures
_FRAMES = 40

LISTED: Mapping[str, type[PagletError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, PagletError)
}
"""The classes that arrive as themselves, by name."""


def report(error: BaseException) -> dict[str, Any]:
    """An error as JSON values: ``{"type", "message", "notes", "data"}``.

    ``type`` is the nearest class of ``LISTED``; any other exception becomes a ``HostError`` whose message
    names its type. ``notes`` are the error's own, and its traceback. ``data`` holds ``transfer_id`` and
    ``failures`` where the class has them. Everything is bounded.
    """
    return _report(error, 0)


def from_report(payload: object) -> PagletError:
    """The error that a report tells of, with the remote traceback among its ``__notes__``.

    Never raises: what is no report becomes a ``HostError`` that says so.
    """
    return _from_report(payload, 0)


def _report(error: BaseException, depth: int) -> dict[str, Any]:
    listed = next((each for each in type(error).__mro__ if LISTED.get(each.__name__) is each), None)
    message = _message(error)
    data: dict[str, Any] = {}
    if listed is None:
        message = f"{type(error).__qualname__}: {message}" if message else type(error).__qualname__
    if isinstance(error, TransferInDoubtError):
        data["transfer_id"] = _bounded(error.transfer_id)
        message = _bounded(error.detail)
    elif isinstance(error, ResourceCleanupError):
        failures = list(error.failures.items())[:MAX_FAILURES] if depth < _MAX_DEPTH else []
        data["failures"] = {_bounded(name): _report(failure, depth + 1) for name, failure in failures}
    return {
        "type": (listed or HostError).__name__,
        "message": _bounded(message),
        "notes": _notes(error),
        "data": data,
    }


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        logger.warning("an error cannot say what it is about", exc_info=True)
        return "(its message cannot be shown)"


def _notes(error: BaseException) -> list[str]:
    own: object = getattr(error, "__notes__", None)
    notes = _strings(own)
    if error.__traceback__ is not None:
        # Notes are listed on their own, so the traceback must not repeat them.
        shown = traceback.TracebackException.from_exception(error, limit=-_FRAMES)
        shown.__notes__ = None
        notes.append("Remote traceback:\n" + "".join(shown.format()).rstrip())
    return [_bounded(note) for note in notes[-MAX_NOTES:]]


def _strings(notes: object) -> list[str]:
    return (
        [note for note in cast("list[object]", notes) if isinstance(note, str)]
        if isinstance(notes, list)
        else []
    )


def _bounded(text: str) -> str:
    """Text that JSON can carry (no lone surrogates), its middle left out when it is too long."""
    if len(text) > MAX_TEXT:
        half = MAX_TEXT // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _from_report(payload: object, depth: int) -> PagletError:
    if not isinstance(payload, Mapping):
        return HostError(f"an error was reported in a form that cannot be read ({type(payload).__name__})")
    fields = cast("Mapping[object, object]", payload)
    error = _built(fields.get("type"), fields.get("message"), fields.get("data"), depth)
    for note in _strings(fields.get("notes"))[-MAX_NOTES:]:
        error.add_note(_bounded(note))
    return error


def _built(name: object, message: object, data: object, depth: int) -> PagletError:
    if not isinstance(name, str) or not isinstance(message, str):
        return HostError("an error was reported in a form that cannot be read (no type, or no message)")
    message = _bounded(message)
    cls = LISTED.get(name)
    fields = _fields(data)
    if cls is TransferInDoubtError:
        transfer_id = fields.get("transfer_id")
        if isinstance(transfer_id, str):
            return TransferInDoubtError(_bounded(transfer_id), message)
    elif cls is ResourceCleanupError:
        failures = fields.get("failures")
        if isinstance(failures, Mapping) and depth <= _MAX_DEPTH:
            return ResourceCleanupError(_failures(cast("Mapping[object, object]", failures), depth))
    elif cls is not None:
        return cls(message)
    return HostError(f"{_bounded(name)}: {message}")


def _fields(data: object) -> Mapping[object, object]:
    return cast("Mapping[object, object]", data) if isinstance(data, Mapping) else {}


def _failures(failures: Mapping[object, object], depth: int) -> dict[str, Exception]:
    named = [(name, failure) for name, failure in failures.items() if isinstance(name, str)]
    return {_bounded(name): _from_report(failure, depth + 1) for name, failure in named[:MAX_FAILURES]}
