"""The environment that other programs get from this one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The frozen program's loader puts its own libraries in front (and keeps the old value under a second name):
# a subprocess would load our libssl instead of its own.
_LOADER_VARIABLES = ("LD_LIBRARY_PATH", "LIBPATH")
_KEPT_AS = "_ORIG"
# Ours alone: a subprocess that answered for us would confuse systemd.
_SERVICE_VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


def clean_env(environ: Mapping[str, str] | None = None, *, frozen: bool | None = None) -> dict[str, str]:
    """A copy of ``environ`` (default: this process's) as it was before the frozen program's loader came.

    For every subprocess that is not this program itself. From source nothing was changed and nothing is.
    """
    result = dict(os.environ if environ is None else environ)
    if not (getattr(sys, "frozen", False) if frozen is None else frozen):
        return result
    for name in _LOADER_VARIABLES:
        kept = result.pop(name + _KEPT_AS, None)
        if kept:
            result[name] = kept
        else:
            result.pop(name, None)
    return result


def without_service_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy without what a service manager said to this process alone."""
    return {name: value for name, value in environ.items() if name not in _SERVICE_VARIABLES}
