"""What a paglet has open where it is, and closes before it leaves: files, sockets, threads."""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from paglets.core.calling import bound
from paglets.core.errors import ResourceCleanupError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Entry:
    resource: object
    cleanup: Callable[[], object]
    suppress: bool


class ResourceRegistry:
    """Named resources with their cleanup. Safe from any thread.

    They are cleaned up in reverse order of registration when the paglet moves, is parked or disposed of,
    before its state is taken. Resources never travel: a hook at the other end opens what is needed there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def register(
        self,
        name: str,
        resource: T = None,
        cleanup: Callable[[T], object] | Callable[[], object] | None = None,
        *,
        suppress: bool = False,
    ) -> T:
        """Remember a resource under a name of its own, and return it.

        ``cleanup`` is called with the resource when it needs an argument, else without. When there is none,
        the resource itself has to be closeable (``close()``), a context manager that was entered, or a
        callable. With ``suppress`` a failing cleanup is logged and does not stop the move.

        Raises ``ValueError`` when the name is taken or empty, ``TypeError`` when it cannot be seen how to
        clean up.
        """
        if not name:
            raise ValueError("a resource needs a name")
        entry = _Entry(resource, _cleanup_of(name, resource, cleanup), suppress)
        with self._lock:
            if name in self._entries:
                raise ValueError(f"a resource named {name!r} is registered already; unregister it first")
            self._entries[name] = entry
        return resource

    def enter(self, name: str, manager: AbstractContextManager[T], *, suppress: bool = False) -> T:
        """Enter a context manager, to be left at cleanup, and return what it gives."""
        value = manager.__enter__()
        try:
            self.register(name, manager, lambda: manager.__exit__(None, None, None), suppress=suppress)
        except BaseException:
            manager.__exit__(None, None, None)
            raise
        return value

    def get(self, name: str) -> Any:
        """The resource of that name; None when there is none."""
        with self._lock:
            entry = self._entries.get(name)
        return None if entry is None else entry.resource

    def unregister(self, name: str) -> Any:
        """Forget a resource without cleaning it up, and return it; None when there is none."""
        with self._lock:
            entry = self._entries.pop(name, None)
        return None if entry is None else entry.resource

    def names(self) -> list[str]:
        """The names in use, in order of registration."""
        with self._lock:
            return list(self._entries)

    def cleanup(self) -> None:
        """Clean up everything, last registered first; all are tried, whatever fails.

        What is cleaned up, or was registered with ``suppress``, is forgotten; what failed stays registered.
        Raises ``ResourceCleanupError`` with the failures when there are any.
        """
        with self._lock:
            entries = list(self._entries.items())
        failures: dict[str, Exception] = {}
        for name, entry in reversed(entries):
            try:
                entry.cleanup()
            except Exception as error:
                logger.warning(
                    "cleanup of a resource failed",
                    exc_info=True,
                    extra={"resource": name, "suppressed": entry.suppress},
                )
                if not entry.suppress:
                    failures[name] = error
                    continue
            with self._lock:
                if self._entries.get(name) is entry:
                    del self._entries[name]
        if failures:
            raise ResourceCleanupError(failures)

    def __contains__(self, name: object) -> bool:
        with self._lock:
            return name in self._entries

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)


def _cleanup_of(name: str, resource: object, cleanup: Callable[..., object] | None) -> Callable[[], object]:
    if cleanup is not None:
        return bound(cleanup, resource)
    close = getattr(resource, "close", None)
    if callable(close):
        return bound(close, resource)
    if isinstance(resource, AbstractContextManager):
        manager = cast("AbstractContextManager[object]", resource)
        return lambda: manager.__exit__(None, None, None)
    if callable(resource):
        return bound(resource, resource)
    raise TypeError(f"resource {name!r} ({type(resource).__name__}) has no close(); pass a cleanup function")
