"""Children that are forked before anybody asks for one, so that whoever asks next does not wait for its first steps.

They are nobody's: they hold no link, no output and no host's life file, only a socket to their zygote. They have
made themselves ready, and wait there to be told whose children they are. They end with their zygote.

The first of them rehearses, and tells which pages of memory it has copied by then; the others copy those, which is half
the work.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import time
from contextlib import suppress
from typing import NoReturn

from paglets.core.pages import copy_pages, own_pages
from paglets.runtime.child.rehearsal import begin_thread, rehearse
from paglets.runtime.launchers.control import MAX_PACKET, Birth, decode_birth, encode, receive
from paglets.runtime.launchers.newborn import LINK, detach, guarded, keep_only, live

logger = logging.getLogger(__name__)

SPARE_SECONDS = 30.0
"""How long after a launch there are spare children for the next ones; each takes 4 MiB while it waits."""
_QUIET_MILLISECONDS = 2
"""How long nobody must ask for anything before the next one is made: who has been given one is to begin first."""
_CLOSE_SECONDS = 0.1
"""Launches that follow each other like this find the one spare child still busy making itself ready: two are kept."""


class Spares:
    """The spare children of a zygote: one for each launch, and not for ever.

    Whatever kills spare children would otherwise have new ones made again and again.
    """

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._spares: list[Spare] = []  # the oldest first: it is ready before the others
        self._wanted = 0
        self._launched = -math.inf
        self._pages = b""
        """What one that has rehearsed had copied; empty: none has told yet."""
        self._telling: list[Spare] = []

    def patience(self) -> int | None:
        """Milliseconds of quiet until ``see_to`` has something to do; None: nothing as things are."""
        if self._wanted:
            return _QUIET_MILLISECONDS
        if not self._spares:
            return None
        return max(0, math.ceil((self._launched + SPARE_SECONDS - time.monotonic()) * 1e3))

    def see_to(self) -> None:
        """Make the next one, or let go of those that nobody has asked for; to be called when nobody waits."""
        if not self._wanted:
            self.drop()
            return
        self._wanted -= 1
        self._listen()
        if (spare := Spare.fork(self._parent, self._pages)) is not None:
            self._spares.append(spare)
            if spare.tells:
                self._telling.append(spare)

    def take(self, link: int, output: int, birth: Birth) -> int | None:
        """Have one be the child that has these descriptors; its process id, or None when there is none."""
        while self._spares:
            spare = self._spares.pop(0)
            if spare.take(link, output, birth):
                return spare.pid
        return None

    def launched(self) -> None:
        """A child was launched: there will be another launch, and soon if the one before was not long ago."""
        now = time.monotonic()
        keep = 2 if now - self._launched < _CLOSE_SECONDS else 1
        self._wanted = max(0, keep - len(self._spares))
        self._launched = now

    def drop(self) -> None:
        """Let go of all. They are still to be reaped."""
        self._listen()
        while self._spares:
            self._spares.pop().end()

    def ended(self, pid: int) -> None:
        """That process has ended by itself and was reaped; it may be, or have been, one of them."""
        self._listen()
        for spare in [each for each in self._spares if each.pid == pid]:
            self._spares.remove(spare)
            spare.ended()

    def _listen(self) -> None:
        self._telling = [spare for spare in self._telling if spare.tells]
        for spare in self._telling:
            self._pages = spare.told() or self._pages


class Spare:
    """One of them, as its zygote sees it."""

    def __init__(self, pid: int, orders: socket.socket, *, tells: bool) -> None:
        self.pid = pid
        self.tells = tells
        """It rehearses, and is still to tell which pages it has copied by then."""
        self._orders = orders
        self._taken = False

    @classmethod
    def fork(cls, parent: int, pages: bytes) -> Spare | None:
        """Fork one that copies those pages, or rehearses; None when there is no process to be had.

        ``parent``: the calling process.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return None
        if not pid:
            _be_spare(theirs.fileno(), parent, pages)
        theirs.close()
        ours.settimeout(0.0)
        return cls(pid, ours, tells=not pages)

    def told(self) -> bytes:
        """Which pages it has copied; ``b""`` when it has not told, in which case it may never do so."""
        try:
            pages = self._orders.recv(MAX_PACKET)
        except BlockingIOError:
            return b""
        except OSError:
            pages = b""
        self.tells = False
        if self._taken:
            self._orders.close()
        return pages

    def take(self, link: int, output: int, birth: Birth) -> bool:
        """Make it the child that has these descriptors; False when it cannot be had any more, and was ended."""
        try:
            socket.send_fds(self._orders, [encode(birth)], [link, output])
        except OSError:
            self.end()
            return False
        self._taken = True
        if not self.tells:  # else what it tells would be there unread, and its orders be lost with that
            self._orders.close()
        return True

    def end(self) -> None:
        """Have no use for it. It is still to be reaped."""
        os.kill(self.pid, signal.SIGKILL)
        self.ended()

    def ended(self) -> None:
        """It has ended by itself and was reaped."""
        self.tells = False
        self._orders.close()


def _be_spare(orders: int, parent: int, pages: bytes) -> NoReturn:
    guarded(lambda: _wait_and_live(orders, parent, pages))


def _wait_and_live(orders: int, parent: int, pages: bytes) -> int:
    detach(parent)
    keep_only(orders)
    with socket.socket(fileno=LINK) as channel:
        try:
            _make_ready(channel, pages)
        except Exception:  # whatever is wrong will be said again when it is in earnest, to whom it concerns
            logger.exception("a spare child could not make itself ready")
        try:
            data, descriptors = receive(channel)
        except ConnectionResetError:  # nor did anybody hear what was told
            return 0
    if not data:
        return 0  # its zygote has no use for it
    birth = decode_birth(data)
    link, output = descriptors
    return live(link, output, birth)


def _make_ready(channel: socket.socket, pages: bytes) -> None:
    begin_thread()
    if pages and copy_pages(pages):
        return
    rehearse()
    if not pages and 0 < len(own := own_pages()) <= MAX_PACKET:
        with suppress(OSError):  # nobody needs to know
            channel.send(own)
