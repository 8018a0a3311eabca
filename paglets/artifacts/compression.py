"""How a host may keep the bytes of an artifact. Whoever reads one gets its content."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPRESSIONS = ("", "zlib", "gzip")
_WINDOW = {"zlib": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS + 16}
_SLICE = 1024 * 1024
"""Bytes of content that come out of a decompressor at a time, whatever went in."""


class Packer(Protocol):
    """Takes content, and gives what is kept of it."""

    def compress(self, data: bytes | bytearray | memoryview, /) -> bytes:
        """What can be kept now."""
        ...

    def flush(self) -> bytes:
        """The rest."""
        ...


class _Plain:
    def compress(self, data: bytes | bytearray | memoryview, /) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


def check_compression(compression: str) -> str:
    """``ValueError`` for what no host keeps artifacts in."""
    if compression not in COMPRESSIONS:
        known = ", ".join(repr(each) for each in COMPRESSIONS)
        raise ValueError(f"the compression of an artifact must be one of: {known} - not {compression[:40]!r}")
    return compression


def packer(compression: str) -> Packer:
    """What brings content into the form in which it is kept."""
    if not compression:
        return _Plain()
    return zlib.compressobj(wbits=_WINDOW[compression])


def unpacked(compression: str, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The content of what is kept, in pieces of bounded size. ``HostError`` for what was not kept so."""
    if not compression:
        yield from parts
        return
    engine = zlib.decompressobj(wbits=_WINDOW[compression])
    try:
        for part in parts:
            data = part
            while data:
                yield engine.decompress(data, _SLICE)
                data = engine.unconsumed_tail
        if rest := engine.flush():
            yield rest
    except zlib.error as error:
        raise HostError(f"an artifact that was kept as {compression} cannot be read: {error}") from error
    if not engine.eof:
        raise HostError(f"an artifact that was kept as {compression} ends too early")
