"""The host's end of a child's socket: frames in and out on the loop, without a thread."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from typing import TYPE_CHECKING

from paglets.core.cork import cork_of
from paglets.runtime.busy_polling import relay_of
from paglets.runtime.frames import (
    ChildFrame,
    FrameError,
    FrameSplitter,
    HostFrame,
    decode_child_frame,
    encode_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_READ = 64 * 1024
_MAX_DESCRIPTORS = 2
"""That a child may have sent ahead of the frames that speak of them: one payload is under way at a time."""
_HIGH_WATER = 4 * 1024 * 1024
"""Unsent bytes from which on the child is not read and senders wait: it does not get more by not reading."""
_ANCILLARY = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
_RECEIVE_FLAGS = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_TRUNCATED = int(socket.MSG_CTRUNC)
"""As plain numbers: the library's enumerations take a microsecond for each comparison."""


class HostLink:
    """One stream socket to one child.

    ``on_frame(frame)`` is called for each frame, ``on_closed(violation)`` once, when nothing more will come:
    with None when the child has closed its end, else with what it did wrong. ``close()`` calls neither.
    """

    def __init__(
        self,
        connection: socket.socket,
        on_frame: Callable[[ChildFrame], None],
        on_closed: Callable[[str | None], None],
    ) -> None:
        self._socket = connection
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._relay = relay_of(self._loop)
        self._cork = cork_of(self._loop)
        self._splitter = FrameSplitter()
        self._descriptors: deque[int] = deque()
        self._unsent: deque[tuple[memoryview, list[int]]] = deque()
        self._unsent_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._held: list[bytes] = []  # frames that the cork holds back
        self._closed = False
        self._loop.add_reader(connection, self._readable)

    def send(self, frame: HostFrame, descriptors: Sequence[int] = ()) -> None:
        """Send it, now or soon, or queue it behind what is not sent yet; dropped once the link is closed.

        The descriptors stay the caller's. ``FrameError`` when the frame is too long.
        """
        self.send_encoded(encode_frame(frame), descriptors)

    def send_encoded(self, encoded: bytes, descriptors: Sequence[int] = ()) -> None:
        """The same for a frame that has been encoded."""
        if self._closed:
            return
        if not descriptors and self._cork.hold(len(encoded), self._send_held):
            self._held.append(encoded)
            return
        self._send_held()
        self._send(encoded, descriptors)

    def _send_held(self) -> None:
        if self._held and not self._closed:
            held, self._held = self._held, []
            self._send(held[0] if len(held) == 1 else b"".join(held))

    def _send(self, encoded: bytes, descriptors: Sequence[int] = ()) -> None:
        sent = 0
        if not self._unsent:
            sent = self._push(encoded, descriptors)
            self._relay.sent(self)
            if sent == len(encoded) or self._closed:
                return
            descriptors = () if sent else descriptors
            self._loop.add_writer(self._socket, self._writable)
        data = memoryview(encoded)[sent:]
        self._unsent.append((data, [os.dup(descriptor) for descriptor in descriptors]))
        self._unsent_bytes += len(data)
        if self._unsent_bytes > _HIGH_WATER:
            self._room.clear()
            self._update_reader()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the child to read them."""
        return self._unsent_bytes

    @property
    def has_room(self) -> bool:
        """Whether more can be sent without waiting, or the link is closed."""
        return self._room.is_set()

    async def drain(self) -> None:
        """Until there is room to send more, or the link is closed."""
        await self._room.wait()

    def take_descriptor(self) -> int:
        """The next descriptor that the child sent; ``FrameError`` when there is none."""
        if not self._descriptors:
            raise FrameError("a frame that speaks of a descriptor, and none came with it")
        return self._descriptors.popleft()

    def read_out(self) -> None:
        """The child has ended: drop what is not sent, and read what it has sent still."""
        if not self._closed:
            self._drop_unsent()
            self._update_reader()

    def violate(self, what: str) -> None:
        """Something that the child sent turned out to be wrong later: nothing more is taken from it."""
        if not self._closed:
            self._end(f"it sent {what}")

    def close(self) -> None:
        """Let go of the socket and of everything not sent."""
        if self._closed:
            return
        self._send_held()
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._drop_unsent()
        self._socket.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _drop_unsent(self) -> None:
        self._loop.remove_writer(self._socket)
        for _data, descriptors in self._unsent:
            for descriptor in descriptors:
                os.close(descriptor)
        self._unsent.clear()
        self._held.clear()
        self._unsent_bytes = 0
        self._room.set()

    def _update_reader(self) -> None:
        if self._closed:
            return
        if not self._room.is_set():
            self._loop.remove_reader(self._socket)
        else:
            self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        self._relay.source = self
        try:
            self._read()
        finally:
            self._relay.source = None

    def _read(self) -> None:
        try:
            data, ancillary, flags, _address = self._socket.recvmsg(_READ, _ANCILLARY, _RECEIVE_FLAGS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary, flags = b"", [], 0
        try:
            if ancillary or flags & _TRUNCATED:
                self._take_ancillary(ancillary, flags)
            if not data:
                self._end("it closed its socket in the middle of a frame" if self._splitter.partial else None)
                return
            self._cork.work_off(self._splitter.feed(data), self._take)
        except FrameError as error:
            self._end(f"it sent {error}")

    def _take(self, body: bytes) -> None:
        if not self._closed:
            self._on_frame(decode_child_frame(body))

    def _take_ancillary(self, ancillary: list[tuple[int, int, bytes]], flags: int) -> None:
        for level, kind, blob in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(blob[: len(blob) - len(blob) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if flags & _TRUNCATED or len(self._descriptors) > _MAX_DESCRIPTORS:
            raise FrameError("more descriptors than frames that speak of them")

    def _end(self, violation: str | None) -> None:
        self.close()
        self._on_closed(violation)

    def _push(self, data: bytes | memoryview, descriptors: Sequence[int]) -> int:
        """Send what fits; how many bytes that was."""
        try:
            if not descriptors:
                return self._socket.send(data)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            return self._socket.sendmsg([data], [rights])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            # The child is gone. Nothing is lost that it could have used; the end of file tells the rest.
            return len(data)

    def _writable(self) -> None:
        while self._unsent:
            data, descriptors = self._unsent.popleft()
            sent = self._push(data, descriptors)
            self._unsent_bytes -= sent
            if sent:
                for descriptor in descriptors:
                    os.close(descriptor)
                descriptors = []
            if sent < len(data):
                self._unsent.appendleft((data[sent:], descriptors))
                break
        else:
            self._loop.remove_writer(self._socket)
        if self._unsent_bytes <= _HIGH_WATER // 2 and not self._room.is_set():
            self._room.set()
            self._update_reader()
