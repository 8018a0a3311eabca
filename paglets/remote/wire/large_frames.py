"""Large binary frames, past the parser of ``websockets``: each byte of a stream is copied once, not four times.

What a stream carries in bulk are whole binary frames of 256 KiB. They are recognised by their header (RFC 6455,
section 5.2) and taken as they are. Every other byte goes to ``websockets`` as it came, and so does a header that is
not exactly as it should be: what is to be said about it is said there.
"""

from __future__ import annotations

import asyncio
import functools
import mmap
import secrets
import struct
from asyncio import sslproto
from typing import TYPE_CHECKING, Any, Protocol, cast

from websockets.frames import BINARY, CONT, TEXT

try:
    from websockets.speedups import apply_mask
except ImportError:  # an interpreter that websockets has no binary for
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 16 * 1024
"""Payloads from this size on take the short way."""

_FIN, _MASKED, _OPCODE = 0x80, 0x80, 0x0F
_LENGTH, _TWO_BYTES, _EIGHT_BYTES = 0x7F, 126, 127
_LONGEST_HEADER = 14
_TLS_BUFFER = 256 * 1024
"""Bytes of TLS that are taken from the system at a time where large frames come: asyncio's own measure."""
_READ_AT_ONCE = _TLS_BUFFER + 16 * 1024
"""What asyncio decrypts at a time, at most: as much, and what was left of a TLS record."""
_KEPT_BYTES = 2 * 1024 * 1024
"""Half of what may be free at the end of the heap before the C library gives it back, once there are large frames."""
_MOST_FRAMES = 1000
"""Of one read. Who has a megabyte to send needs four; frames of no bytes would keep the loop from everybody else."""


def large_frame(
    data: bytes | bytearray | memoryview, *, masked: bool
) -> list[bytes | bytearray | memoryview]:
    """The parts of a whole binary frame with that payload, to be sent one after the other."""
    size = len(data)
    mask_bit = _MASKED if masked else 0
    if size < 1 << 16:
        header = struct.pack("!BBH", _FIN | BINARY, mask_bit | _TWO_BYTES, size)
    else:
        header = struct.pack("!BBQ", _FIN | BINARY, mask_bit | _EIGHT_BYTES, size)
    if not masked:
        return [header, data]
    key = secrets.token_bytes(4)
    return [header + key, apply_mask(data, key)]


class Wire(Protocol):
    """The connection that is read for."""

    def seen(self) -> None:
        """The other side is alive."""
        ...

    def bytes_received(self, data: bytes) -> None:
        """Bytes for the parser of ``websockets``: whole frames, unless something is wrong with them."""
        ...

    def large_received(self, data: bytes) -> None:
        """The payload of a whole binary frame."""
        ...

    def flooded(self) -> None:
        """More frames came at once than there is a use for, and not all of them were handed on."""
        ...

    def eof_received(self) -> None:
        """Nothing more comes."""
        ...

    def pause_writing(self) -> None:
        """The output buffer is full."""
        ...

    def resume_writing(self) -> None:
        """There is room again."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        ...


class LargeFrames:
    """Cuts what a connection brings into frames, in one buffer of its own.

    ``masked``: as all frames of a client are. ``max_size``: of a payload.
    """

    def __init__(self, *, masked: bool, max_size: int) -> None:
        self._masked = masked
        self._max_size = max_size
        # Pages that are never written to are never there: a connection that brings little takes little.
        self._view = memoryview(mmap.mmap(-1, max_size + _LONGEST_HEADER + 3 * _READ_AT_ONCE))
        self._begin = 0
        self._end = 0
        self._in_fragments = False
        self._given_up = False
        self._flooded = False

    def room(self) -> memoryview:
        """Where the next bytes go."""
        return self._view[self._end :]

    def take(self, data: bytes, other: Callable[[bytes], None], large: Callable[[bytes], None]) -> bool:
        """What was read elsewhere, before the first of what is read here; not more than a request may have."""
        self.room()[: len(data)] = data
        return self.came(len(data), other, large)

    def came(self, size: int, other: Callable[[bytes], None], large: Callable[[bytes], None]) -> bool:
        """So many are there: hand on what is whole, in order.

        False when those are more frames than there is a use for: the rest is dropped, and so is all that comes then.
        """
        self._end += size
        left = 0 if self._flooded else _MOST_FRAMES
        while left and not self._given_up and self._next(other, large):
            left -= 1
        if not left:
            self._flooded = True
            self._begin = self._end = 0
            return False
        if self._given_up and self._end > self._begin:
            other(bytes(self._view[self._begin : self._end]))
            self._begin = self._end
        if self._begin == self._end:
            self._begin = self._end = 0
        elif len(self._view) - self._end < _READ_AT_ONCE:
            held = self._end - self._begin
            self._view[:held] = self._view[self._begin : self._end]
            self._begin, self._end = 0, held
        return True

    def _next(self, other: Callable[[bytes], None], large: Callable[[bytes], None]) -> bool:
        """Hand on one frame; whether there was a whole one."""
        view, begin = self._view, self._begin
        held = self._end - begin
        if held < 2:
            return False
        first, second = view[begin], view[begin + 1]
        length, header = second & _LENGTH, 2
        if length >= _TWO_BYTES:
            header = 4 if length == _TWO_BYTES else 10
            if held < header:
                return False
            length = int.from_bytes(view[begin + 2 : begin + header], "big")
        if second & _MASKED:
            header += 4
        if length > self._max_size:
            self._given_up = True  # it has no end that would ever be here
            return False
        if held < header + length:
            return False
        end = self._begin = begin + header + length
        opcode = first & _OPCODE
        as_expected = first == _FIN | BINARY and bool(second & _MASKED) == self._masked
        if as_expected and length >= LARGE and not self._in_fragments:
            payload = view[end - length : end]
            large(
                apply_mask(payload, bytes(view[end - length - 4 : end - length]))
                if self._masked
                else bytes(payload)
            )
        else:
            if opcode in {TEXT, BINARY, CONT}:
                self._in_fragments = not first & _FIN
            other(bytes(view[begin:end]))
        return True


def _read_much_at_once(transport: asyncio.BaseTransport) -> None:
    """Undo for one connection what its program may have done to have all of them take little memory.

    What is read in small pieces is read in more of them: a turn of the loop each, and often a wait for the next.
    """
    tls = getattr(transport, "_ssl_protocol", None)  # asyncio has no public way to it
    if isinstance(tls, sslproto.SSLProtocol):
        cast("Any", tls).max_size = max(tls.max_size, _TLS_BUFFER)


@functools.cache
def _keep_memory() -> None:
    """Have the C library keep what one frame leaves for the next ones; once is enough for a process.

    It gives back what is free at the end of its heap, unless larger blocks than a frame have been freed before
    (mallopt(3), M_MMAP_THRESHOLD). What is given back comes again page by page, with a fault for each.
    """
    bytes(_KEPT_BYTES)  # none of its pages is touched


class LargeFramesReading(asyncio.BufferedProtocol):
    """Reads for a connection from the moment on at which large frames may come."""

    def __init__(self, wire: Wire, frames: LargeFrames, transport: asyncio.Transport) -> None:
        self._wire = wire
        self._frames = frames
        self._transport = transport
        self._much = False
        """Whether a large frame has come; many connections bring none."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio: where to read to."""
        del sizehint
        return self._frames.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio: so much was read."""
        self._wire.seen()
        if not self._frames.came(nbytes, self._wire.bytes_received, self._large_received):
            self._wire.flooded()

    def _large_received(self, data: bytes) -> None:
        if not self._much:
            self._much = True
            _read_much_at_once(self._transport)
            _keep_memory()
        self._wire.large_received(data)

    def eof_received(self) -> None:
        """Called by asyncio."""
        self._wire.eof_received()

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._wire.pause_writing()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._wire.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._wire.connection_lost(exc)
