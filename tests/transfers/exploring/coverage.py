"""Which durable steps there are, and which of them an exploration takes."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from paglets.persistence import journal, restoring
from paglets.persistence.memory import MemoryTransaction

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from types import CodeType, FrameType, FunctionType, ModuleType

WRITES = {"put_", "drop_", "delete_", "append_", "replace_"}
"""How the names of methods begin by which a transaction is written to."""
SERVICES = "enlisting"
"""The room of resident services, which never move: no transfer has anything to do with it."""


def rooms() -> list[ModuleType]:
    """The modules of all durable steps that a move may have to do with."""
    names = {each.name for each in pkgutil.iter_modules(journal.__path__)} - {SERVICES}
    return [*(import_module(f"{journal.__name__}.{name}") for name in sorted(names)), restoring]


def steps(*modules: ModuleType) -> dict[str, CodeType]:
    """Every public function of modules that works on a transaction, by its name."""
    return {
        name: function.__code__
        for name, function in _functions(modules)
        if not name.startswith("_") and next(iter(inspect.signature(function).parameters), "") == "tx"
    }


def that_write(*modules: ModuleType) -> set[str]:
    """Those functions of modules that ever write, by themselves or by another one: told by the names in them."""
    codes = [(name, function.__code__) for name, function in _functions(modules)]
    found: set[str] = set()
    while True:
        more = {name for name, code in codes if name not in found and _writes(code, found)}
        if not more:
            return found
        found |= more


def _functions(modules: Iterable[ModuleType]) -> Iterator[tuple[str, FunctionType]]:
    for module in modules:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                yield name, function


def _writes(code: CodeType, by: set[str]) -> bool:
    return any(name in by or any(map(name.startswith, WRITES)) for name in code.co_names)


def methods_that_write(tables: type[Any]) -> dict[str, CodeType]:
    """Those of a transaction."""
    found = inspect.getmembers(tables, inspect.isfunction)
    return {name: each.__code__ for name, each in found if any(map(name.startswith, WRITES))}


class Taken:
    """The steps that were taken while it was watched."""

    def __init__(self, wanted: dict[str, CodeType], tables: type[Any]) -> None:
        self._names = {code: name for name, code in wanted.items()}
        self._writes = set(methods_that_write(tables).values())
        self.called: set[str] = set()
        self.wrote: set[str] = set()

    def saw(self, frame: FrameType | None, event: str, _: object) -> None:
        """A function is called, or returns."""
        if event != "call" or frame is None:
            return
        if frame.f_code in self._names:
            self.called.add(self._names[frame.f_code])
        elif frame.f_code in self._writes:
            while (frame := frame.f_back) is not None:
                if frame.f_code in self._names:
                    self.wrote.add(self._names[frame.f_code])


def missed(taken: Taken, *modules: ModuleType) -> set[str]:
    """The steps of modules that were not taken; one that writes is only taken when it has written."""
    wanted, writing = set(steps(*modules)), that_write(*modules)
    return (wanted & writing - taken.wrote) | (wanted - taken.called)


@contextmanager
def watched(*modules: ModuleType, tables: type[Any] = MemoryTransaction) -> Generator[Taken]:
    """Note which steps of modules are taken, directly or by another one, and which of them write."""
    taken, before = Taken(steps(*modules), tables), sys.getprofile()
    sys.setprofile(taken.saw)
    try:
        yield taken
    finally:
        sys.setprofile(before)
