"""What goes into the frozen program, and what stays out."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from PyInstaller.utils.hooks import collect_submodules

if TYPE_CHECKING:
    from pathlib import Path

OWN = ("paglets", "edge")
"""Authors' code may import any module of ours, not only those that our own code names."""

WHOLE = ("cryptography", "websockets", "zeroconf", "msgspec", "psutil")
"""Packages that load parts of themselves by name."""

LEFT_OUT = (
    # Build tools that nothing needs at run time; they also cost a third of the start.
    "setuptools", "pkg_resources", "_distutils_hack", "distutils", "lib2to3", "ensurepip", "venv", "pycparser",
    # Windows on a box without a screen.
    "tkinter", "_tkinter", "turtle", "turtledemo", "idlelib",
    # Tests of the standard library, and its jokes.
    "test", "_testcapi", "_testinternalcapi", "_testbuffer", "_testimportmultiple", "_testmultiphase", "_testclinic",
    "_ctypes_test", "_xxtestfuzz", "_xxsubinterpreters", "xxlimited", "xxlimited_35", "antigravity", "this",
    # The fixtures for pytest; the points that paglets may have for their tests stay.
    "paglets.testing.plugin", "pytest", "_pytest",
    # These link libraries under the GPL, which would then hold for the whole program.
    "readline", "rlcompleter", "_gdbm", "dbm.gnu",
)  # fmt: skip

RUNTIME_HOOKS = ("pyi_rth_inspect", "pyi_rth_multiprocessing", "pyi_rth_pkgutil")
"""PyInstaller runs these at every start, and they import half the standard library for it.

``edge.frozen_hooks`` runs each when what it is for is first used.
"""


DATA = ("paglets/config/launch.toml",)
"""Files that our packages read at run time, by their paths below the source directory."""


def data_files(root: Path) -> list[tuple[str, str]]:
    """Those files, each with the directory in the program that it goes to."""
    return [(str(root / name), str(PurePosixPath(name).parent)) for name in DATA]


def hidden_imports() -> list[str]:
    """Names of all modules to take in that no import statement of ours mentions."""
    names: set[str] = set(RUNTIME_HOOKS)
    for package in (*OWN, *WHOLE):
        names.update(collect_submodules(package))
    for name in sorted(sys.stdlib_module_names):
        if _left_out(name) or not _is_here(name):
            continue
        names.add(name)
        if _is_package(name):
            names.update(collect_submodules(name, filter=_wanted))
    return sorted(name for name in names if not _left_out(name))


def _wanted(name: str) -> bool:
    parts = name.split(".")
    return not _left_out(name) and "test" not in parts and "tests" not in parts and "__main__" not in parts


def _left_out(name: str) -> bool:
    return any(name == left or name.startswith(left + ".") for left in LEFT_OUT)


def _is_here(name: str) -> bool:
    """Whether this platform has it; the list of names is that of all platforms."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None
