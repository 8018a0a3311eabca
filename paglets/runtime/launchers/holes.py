"""Free memory between what a process keeps, taken away before others are forked from it.

What a new process makes would go there, a few objects to a page, and have each of these pages copied. With the holes
filled it goes side by side onto pages that are new.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_SMALL = 512
"""Bytes up to which Python's allocator has pools with blocks of one size; what is larger is the C library's."""
_ALIGNMENT = 16
_PAGE = 4096
_FEWEST = 8
_LARGEST_HOLE = 64 * 1024
_ENOUGH = 128 * 1024
"""Bytes that are filled of each size at most, for other allocators may never be seen to be done."""
_HEADER = b"".__sizeof__()
_INT_OF_FOUR_BYTES = 1 << 29
_libc = ctypes.CDLL(None)
_malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(("malloc", _libc))
_free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(("free", _libc))


def fill_holes() -> list[object]:
    """Fill the holes that this process has now, some 0.4 MiB; they are filled as long as the result is kept."""
    held: list[object] = []
    for size in range(_ALIGNMENT, _LARGEST_SMALL + 1, _ALIGNMENT):
        held += _fill_pools(size)
    return held + _fill_heap()


def _fill_pools(size: int) -> list[object]:
    """Blocks of that size, until they come one beside the other."""
    make = _maker(size)
    enough = max(_FEWEST, _PAGE // size)
    held: list[object] = []
    last = in_a_row = 0
    while in_a_row < enough and len(held) * size < _ENOUGH:
        held.append(one := make())
        in_a_row = in_a_row + 1 if id(one) == last + size else 1
        last = id(one)
    return held[:-in_a_row]


def _maker(size: int) -> Callable[[], object]:
    """Makes objects of that size, of which Python keeps none for reuse."""
    if size == _ALIGNMENT:
        return object
    if size < _HEADER:
        return itertools.count(_INT_OF_FOUR_BYTES).__next__
    return lambda: b"%0*d" % (size - _HEADER, 0)


def _fill_heap() -> list[object]:
    """Large blocks, each as often as there is room for one below the end of what the C library has in use."""
    held: list[object] = []
    end = max(id(bytes(each)) for each in (2 * _LARGEST_SMALL, _LARGEST_HOLE))
    size = _LARGEST_HOLE
    while size > _LARGEST_SMALL:
        for _ in range(_ENOUGH // size):
            if id(one := bytes(size - _HEADER)) >= end:
                break
            held.append(one)
        size = size * 7 // 8 // _ALIGNMENT * _ALIGNMENT
    return held + _fill_between(end)


def _fill_between(end: int) -> list[object]:
    """Blocks of the C library's that are smaller than any of Python's.

    Libraries take those, and whoever frees one of Python's touches its neighbours.
    """
    held: list[object] = []
    for size in range(_LARGEST_SMALL - _ALIGNMENT // 2, _ALIGNMENT, -_ALIGNMENT):
        for _ in range(_ENOUGH // size):
            if (one := _Block(size)).address >= end:
                break
            held.append(one)
    return held


class _Block:
    """Memory of the C library's, for as long as this is kept."""

    __slots__ = ("address",)

    def __init__(self, size: int) -> None:
        self.address: int = _malloc(size) or 0

    def __del__(self) -> None:
        _free(self.address)
