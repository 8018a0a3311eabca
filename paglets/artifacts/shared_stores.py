"""One opened store for all artifact stores of a program that were given the same directory.

A directory's store is opened once at a time, so they have to share it; the last one closes it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.persistence.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(slots=True)
class _Shared:
    store: Store
    users: int = 1


_lock = threading.RLock()  # a collected artifact store releases its own on whatever thread that happens
_opened: dict[Path, _Shared] = {}


def open_shared(directory: Path) -> tuple[Store, Callable[[], None]]:
    """The store in ``directory``, and how to say, once, that it is no longer used; raises as ``Store``."""
    key = directory.resolve()
    with _lock:
        shared = _opened.get(key)
        if shared is None:
            shared = _opened[key] = _Shared(Store(key))
        else:
            shared.users += 1
    return shared.store, lambda: _release(key, shared)


def _release(key: Path, shared: _Shared) -> None:
    with _lock:
        shared.users -= 1
        if not shared.users:
            del _opened[key]
            shared.store.close()  # under the lock, so that whoever opens it again finds it closed
