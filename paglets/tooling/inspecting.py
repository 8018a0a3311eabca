"""What the process does that imports authors' modules.

It reads requests from its stdin and answers on what was its stdout, one JSON line each: ``{"name", "file"}`` ->
a ``ModuleAnswer``. It ends with its stdin.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from paglets.tooling.class_records import ModuleAnswer
from paglets.tooling.describing import describe_module

_LONGEST = 1000  # characters of what an exception says
_GRACE = 5  # seconds


def serve(timeout: float, root: str) -> NoReturn:
    """Answer until nobody asks any more; a module gets ``timeout`` seconds.

    ``root`` comes before everything else on the path, but only now: authors may have a module called ``json``.
    """
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # what a module reads and prints is not ours
        os.dup2(nothing, number)
    sys.dont_write_bytecode = True
    sys.argv = [sys.executable]
    if root:
        sys.path.insert(0, root)
    while line := requests.readline():
        # Who asks kills this process when it takes too long; this is for when they are gone themselves.
        if hasattr(signal, "alarm"):
            signal.alarm(int(timeout) + _GRACE)
        request = json.loads(line)
        answer = inspect_module(request["name"], request["file"])
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()
    os._exit(0)  # threads and exit handlers of authors' modules do not keep it up


def inspect_module(name: str, file: str) -> ModuleAnswer:
    """Import a module and describe the paglet classes in it; ``file``: what it must be, or empty."""
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - whatever a module does when imported, it is told
        return ModuleAnswer(errors=[f"Discovery module cannot be imported: {name}: {_told(error)}"])
    actual = getattr(module, "__file__", None)
    if file and not _is_file(actual, file):
        other = actual or "a built-in module"
        return ModuleAnswer(
            errors=[f"Discovery module cannot be imported: {name}: {other} has the same name"]
        )
    records, errors = describe_module(module)
    return ModuleAnswer(records, errors, [str(each) for each in getattr(module, "__path__", ())])


def _is_file(actual: str | None, expected: str) -> bool:
    try:
        return actual is not None and Path(actual).samefile(expected)
    except OSError:
        return False


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an author's exception may fail at this, too
        text = ""
    kind = type(error).__name__
    return (f"{kind}: {text}" if text else kind)[:_LONGEST].encode("utf-8", "backslashreplace").decode()
