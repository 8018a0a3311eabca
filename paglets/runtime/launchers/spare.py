"""A child that is forked before anybody asks for it, so that whoever asks next does not wait for its first steps.

It is nobody's: it holds no link, no output and no host's life file, only a socket to its zygote. It has
made itself ready, and waits there to be told whose child it is. It ends with its zygote.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from typing import NoReturn

from paglets.runtime.child.rehearsal import rehearse
from paglets.runtime.launchers.control import Birth, decode_birth, encode, receive
from paglets.runtime.launchers.newborn import LINK, detach, guarded, keep_only, live

logger = logging.getLogger(__name__)


class Spare:
    """The spare child, as its zygote sees it."""

    def __init__(self, pid: int, orders: socket.socket) -> None:
        self.pid = pid
        self._orders = orders

    @classmethod
    def fork(cls, parent: int) -> Spare | None:
        """Fork one; None when there is no process to be had. ``parent``: the calling process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return None
        if not pid:
            _be_spare(theirs.fileno(), parent)
        theirs.close()
        ours.settimeout(0.0)
        return cls(pid, ours)

    def take(self, link: int, output: int, birth: Birth) -> bool:
        """Make it the child that has these descriptors; False when it cannot be had any more, and was ended."""
        try:
            socket.send_fds(self._orders, [encode(birth)], [link, output])
        except OSError:
            self.end()
            return False
        self._orders.close()
        return True

    def end(self) -> None:
        """Have no use for it. It is still to be reaped."""
        self.ended()
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> None:
        """It has ended by itself and was reaped."""
        self._orders.close()


def _be_spare(orders: int, parent: int) -> NoReturn:
    guarded(lambda: _wait_and_live(orders, parent))


def _wait_and_live(orders: int, parent: int) -> int:
    detach(parent)
    keep_only(orders)
    try:
        rehearse()
    except Exception:  # whatever is wrong will be said again when it is in earnest, to whom it concerns
        logger.exception("a spare child could not rehearse")
    with socket.socket(fileno=LINK) as channel:
        data, descriptors = receive(channel)
    if not data:
        return 0  # its zygote has no use for it
    birth = decode_birth(data)
    link, output = descriptors
    return live(link, output, birth)
