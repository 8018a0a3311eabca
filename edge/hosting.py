"""`paglets host` in the program: what reads its command line is not in the process that is the host.

Commands, and the library that parses them, are megabytes that a host and each of its children would keep for a
moment's use. So a forked process reads the command line, hands the settings over and is gone.
"""

# ruff: noqa: PLC0415 - what a host keeps loaded for as long as it runs is chosen here, one by one

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.settings import ApplianceSettings

_INTERRUPTED = 130


def is_host(arguments: Sequence[str]) -> bool:
    """Whether this command line starts a host; False also when that takes a parser to tell."""
    words = iter(arguments)
    for word in words:
        if word == "--data-dir":
            next(words, None)
        elif word != "--json" and not word.startswith("--data-dir="):
            return word == "host" and not {"-h", "--help"} & set(arguments)
    return False


def host(arguments: Sequence[str]) -> int:
    """Run what that command line says, a host if it is right; the exit code."""
    try:
        told = _read_apart(arguments)
        if not isinstance(told, int):
            return _run(told)
        return told if told >= 0 else _read_here(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _read_apart(arguments: Sequence[str]) -> ApplianceSettings | int:
    """The settings that the command line gives, or the exit code of a program that has said what is wrong.

    The exit code is negative when a signal has ended the reader.
    """
    readable, writable = os.pipe()
    reader = os.fork()
    if not reader:
        os.close(readable)
        _hand_over(arguments, writable)
    os.close(writable)
    # Meanwhile: what the zygote needs, which is forked next and shares it with the host.
    from edge.settings import ApplianceSettings
    from paglets.runtime.launchers.zygote_process import prepare_code
    from paglets.serialization.codec import dataclass_from_wire

    prepare_code()
    with os.fdopen(readable, encoding="ascii") as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])
    return dataclass_from_wire(ApplianceSettings, json.loads(told)) if told and code >= 0 else code


def _read_here(arguments: Sequence[str]) -> int:
    """The reader was killed, by the kernel or somebody else: no reason not to have a host, if a bigger one."""
    from edge.cli.app import run

    return run(arguments)


def _hand_over(arguments: Sequence[str], pipe: int) -> NoReturn:
    code = 1
    try:
        from edge.cli.app import run
        from paglets.serialization.codec import dataclass_to_wire

        def tell(settings: ApplianceSettings) -> int:
            with os.fdopen(pipe, "w", encoding="ascii") as told:
                json.dump(dataclass_to_wire(settings), told)
            return 0

        code = run(arguments, run_host=tell)
    except Exception:  # nobody above tells of it: this process ends here
        logging.getLogger(__name__).exception("the command line could not be read")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run(settings: ApplianceSettings) -> int:
    from edge import logs
    from edge.appliance import run
    from paglets.core.errors import PagletError

    logs.configure()
    try:
        return run(settings, prepared=True)
    except (PagletError, OSError) as error:
        from edge.cli.failures import FAILED, sentence
        from edge.cli.output import warn

        warn(sentence(error))
        return FAILED
