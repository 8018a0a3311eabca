"""Runs PyInstaller's run-time hooks when what they are for is first imported, not at every start.

They teach ``multiprocessing`` to start this program instead of Python, ``pkgutil`` to list frozen modules, and
``inspect`` where frozen sources would be. Run at every start, they cost it three times the rest.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_HOOKS = {"multiprocessing": "pyi_rth_multiprocessing", "pkgutil": "pyi_rth_pkgutil"}


def install() -> None:
    """Wait for the modules. To be called once, before they are imported."""
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the modules that have a hook, once each."""

    def __init__(self) -> None:
        self._waiting = {*_HOOKS, "inspect"}

    def find_spec(self, fullname: str, *_where: object) -> ModuleSpec | None:
        """The module's own spec, its loader wrapped; None for all other modules."""
        if fullname not in self._waiting:
            return None
        self._waiting.discard(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _wrapped(spec.loader)
        return spec


def _wrapped(loader: Loader) -> Any:
    return _Loader(loader)


class _Loader:
    """Loads a module as its own loader does, then runs its hook."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the module's own loader does; then the hook."""
        self._loader.exec_module(module)
        if module.__name__ == "inspect":
            _defer_inspect(module)
        else:
            importlib.import_module(_HOOKS[module.__name__])


def _defer_inspect(inspect: Any) -> None:
    """Run the hook for ``inspect`` when sources are first looked for; ``inspect`` itself is imported by many."""
    original = inspect.getsourcefile

    def getsourcefile(object: Any) -> str | None:  # noqa: A002 - the name that it has in inspect
        inspect.getsourcefile = original
        importlib.import_module("pyi_rth_inspect")
        return inspect.getsourcefile(object)

    inspect.getsourcefile = getsourcefile
