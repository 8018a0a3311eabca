"""How many bytes artifacts may take: promised before the first one is written."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from paglets.core.errors import StorageQuotaError
from paglets.persistence.errors import StoreFullError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.store import Store


class Quota:
    """Keeps account of what is promised to artifacts on their way in. For any thread."""

    def __init__(self, store: Store, *, max_artifact_bytes: int, quota_bytes: int) -> None:
        if max_artifact_bytes < 0 or quota_bytes < 0:
            raise ValueError("a bound on artifacts is 0 or more bytes")
        self.max_artifact_bytes = max_artifact_bytes
        self.quota_bytes = quota_bytes
        self._store = store
        self._lock = threading.Lock()
        self._promised = 0
        self.make_room: Callable[[], bool] = lambda: False
        """Lets go of something that was promised room and is not under way; whether there was any."""

    def check_size(self, size: int) -> None:
        """``StorageQuotaError`` for more than one artifact may have."""
        if size > self.max_artifact_bytes:
            raise StorageQuotaError(
                f"an artifact of {size} bytes is over this host's bound of {self.max_artifact_bytes} for one"
            )

    def promise(self, size: int) -> None:
        """Set so many bytes aside; ``StorageQuotaError``, or ``StoreFullError``, when they are not there.

        What was begun and broken off makes room for what is under way.
        """
        while True:
            try:
                self._try_to_promise(size)
            except (StorageQuotaError, StoreFullError):
                if not self.make_room():
                    raise
            else:
                return

    def _try_to_promise(self, size: int) -> None:
        with self._lock:
            used = self._store.read_sync(lambda tx: tx.artifacts.used_bytes())
            if used + self._promised + size > self.quota_bytes:
                raise StorageQuotaError(
                    f"{size} bytes more would bring this host's artifacts to {used + self._promised + size}, and "
                    f"their quota is {self.quota_bytes}; delete some, or let them expire"
                )
            if not self._store.accepts_arrivals(self._promised + size):
                raise StoreFullError(f"there is no room for {size} bytes more in {self._store.directory}")
            self._promised += size

    def give_back(self, size: int) -> None:
        """They were used, and count by themselves now, or will not be."""
        with self._lock:
            self._promised -= size
