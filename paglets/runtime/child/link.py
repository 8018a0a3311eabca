"""The child's end of its socket: blocking, written by any thread, read by one."""

from __future__ import annotations

import array
import os
import select
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING

from paglets.core.error_reports import report
from paglets.core.errors import SerializationError
from paglets.core.pages import give_back
from paglets.runtime.frames import (
    Admit,
    Answer,
    ChildFrame,
    FrameError,
    FrameSplitter,
    HostFrame,
    Inspect,
    PayloadHead,
    decode_host_frame,
    encode_frame,
)
from paglets.runtime.memory_files import Payload

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ = 64 * 1024
REST_SECONDS = 20.0
"""How long nothing must come before memory is given back: what comes next takes a little longer."""
_APART = 50
"""Children that were asked something together do not all rest together, but over so many tenths of a second."""
_ANCILLARY = socket.CMSG_SPACE(2 * array.array("i").itemsize)
_RECEIVE_FLAGS = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))


class ChildLink:
    """Frames to and from the host."""

    standing_by = 0
    """The native id of the thread that waits while another one reads; 0: there is none."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._input = select.poll()
        self._input.register(connection, select.POLLIN)
        self._rest = (REST_SECONDS + os.getpid() % _APART / 10) * 1e3
        self._sending = threading.Lock()
        self._splitter = FrameSplitter()
        self._ready: deque[bytes] = deque()
        self._descriptors: deque[int] = deque()

    def send(
        self, frame: ChildFrame, payload: Payload | None = None, *, descriptor: int | None = None
    ) -> None:
        """Send a frame; waits while the host does not read. ``FrameError`` when it is too long, and not sent.

        ``payload`` or ``descriptor``: what the frame speaks of; it stays the caller's.
        """
        data = encode_frame(frame)
        if payload is not None and payload.data is None:
            descriptor = payload.fileno()
        with self._sending:
            if descriptor is not None:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
                data = data[self._socket.sendmsg([data], [rights]) :]
            self._socket.sendall(data)

    def answer(self, seq: int, result: bytes = b"", error: BaseException | None = None) -> None:
        """Answer a request; an answer that is too long becomes an error that says so."""
        if error is not None:
            self.send(Answer(seq, error=report(error)))
            return
        try:
            self.send(Answer(seq, result))
        except FrameError as too_long:
            self.send(Answer(seq, error=report(SerializationError(f"the answer is too long: {too_long}"))))

    def frames(self) -> Iterator[HostFrame]:
        """The host's frames as they come, until it has closed its end. One thread at a time."""
        while self._ready or self._receive():
            yield decode_host_frame(self._ready.popleft())

    def read(self) -> list[HostFrame]:
        """The frames that are here, at least one; waits for it. Empty: the host has closed its end."""
        if not self._ready and not self._receive():
            return []
        bodies, self._ready = self._ready, deque()
        return [decode_host_frame(body) for body in bodies]

    def _receive(self) -> bool:
        """Wait for a frame; False: there will be none any more."""
        while not self._ready:
            # A thread that waits in recv(2) is woken, for nothing, when the host takes what was sent to it; see unix(7)
            # and poll(2): one that polls for input is not.
            if not self._input.poll(self._rest):
                give_back(self.standing_by)
                self._input.poll()
            try:
                data, ancillary, _flags, _address = self._socket.recvmsg(_READ, _ANCILLARY, _RECEIVE_FLAGS)
            except OSError:
                return False
            for level, kind, blob in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    numbers = array.array("i")
                    numbers.frombytes(blob[: len(blob) - len(blob) % numbers.itemsize])
                    self._descriptors.extend(numbers)
            if not data:
                return False
            self._ready.extend(self._splitter.feed(data))
        return True

    def payload_of(self, frame: Admit | Inspect) -> Payload | None:
        """The payload that came with a frame that was just read."""
        head = frame.state
        if head is None or head.data is not None:
            return None if head is None else Payload(head.data)
        return Payload(None, self._descriptors.popleft(), head.size)


def head_of(payload: Payload) -> PayloadHead:
    """What a frame says about a payload that goes with it."""
    return PayloadHead(payload.data, payload.size)
