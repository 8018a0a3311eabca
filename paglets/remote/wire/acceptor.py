"""Takes connections off a listening socket."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_AT_ONCE = 16
"""Connections taken in one turn of the loop, so that a flood of them does not hold up the others."""
_PAUSE = 0.5
"""Seconds until descriptors are asked for again when there were none."""
_OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Acceptor:
    """Calls ``enter`` with each connection that comes to a listening socket, which is not blocking.

    In the step in which it was accepted: a task that waits for it could be cancelled in between, and lose it. To be
    closed before the socket is: a loop that still watches the number of a closed one does not hear of the next thing
    with that number.
    """

    def __init__(self, bound: socket.socket, enter: Callable[[socket.socket], None]) -> None:
        self._bound = bound
        self._enter = enter
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Accept no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._bound)

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _address = self._bound.accept()
            except OSError as error:  # one that has left again, too
                if error.errno in _OUT_OF_FILES:
                    logger.exception("cannot accept connections for now")
                    self._loop.remove_reader(self._bound)
                    self._pause = self._loop.call_later(_PAUSE, self._watch)
                return
            self._enter(accepted)
