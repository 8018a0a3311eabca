"""One zygote for all the hosts of a program: counted, and replaced when it dies."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.runtime.launchers.zygote import Zygote, exec_zygote

if TYPE_CHECKING:
    import socket

logger = logging.getLogger(__name__)


class ZygoteKeeper:
    """Holds a zygote while somebody uses it, from ``acquire`` to ``release``. Any thread may call.

    Without a first one it starts its own when the first connection is asked for.
    """

    def __init__(self, first: Zygote | None = None) -> None:
        self._lock = threading.Lock()
        self._zygote = first
        self._users = 0

    @property
    def pid(self) -> int | None:
        """Process id of the current zygote."""
        zygote = self._zygote
        return zygote.pid if zygote else None

    def acquire(self) -> None:
        """Count a user."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """The last user's release ends the zygote. Blocks until it is reaped."""
        with self._lock:
            self._users -= 1
            zygote, self._zygote = (self._zygote, None) if not self._users else (None, self._zygote)
        if zygote is not None:
            zygote.close()

    def attach(self) -> socket.socket:
        """A connection to the zygote, to a new one if it has died. Blocks; ``HostError``: there is none."""
        with self._lock:
            if not self._users:
                raise HostError("this launcher is closed; a host needs one of its own")
            if self._zygote is not None:
                try:
                    return self._zygote.attach()
                except OSError:
                    logger.warning("the zygote has died; starting another", extra={"pid": self._zygote.pid})
                    self._zygote.close()
            self._zygote = exec_zygote()
            try:
                return self._zygote.attach()
            except OSError as error:
                raise HostError(
                    f"the process that children are forked from does not start: {error}"
                ) from error


_shared = ZygoteKeeper()


def shared_keeper() -> ZygoteKeeper:
    """The keeper that the hosts of this program share by default. It holds nothing while nobody uses it."""
    return _shared
