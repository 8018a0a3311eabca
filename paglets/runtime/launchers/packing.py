"""What the children of a zygote touch in their first moments, laid together and made ready before they are forked.

A child gets a page of its own for each page of its zygote's that it writes to, and Python writes where it only
reads: it counts references on the code that it runs, and notes in that code which types it met there. The code of what
children do lies among that of all the modules that it came with, mostly one such function to a page. Here it gets
copies that lie beside each other; and these have met their types before anybody is forked, who then
has little to note.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from paglets.runtime.launchers.holes import fill_holes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_RUNS = 8
"""After so many runs a further one brings hardly anything."""


def lay_together(work: Callable[[], None]) -> None:
    """Have that work, whatever of it is Python code, ready in this process. It is done several times.

    Every collection gives back what is kept for reuse, which lies as scattered as what it was used for.
    """
    work()  # what is done only the first time
    gc.collect()
    codes = _codes_of(work)
    filling = fill_holes()  # so that the copies lie together, and not in between
    _relay(codes)
    filling.clear()
    gc.collect()
    gc.freeze()
    # What is looked up in types is remembered in a table; a child that remembers something in the place of something
    # older would touch the name of that, wherever it lies.
    ctypes.pythonapi.PyType_ClearCache()
    for _ in range(_RUNS):
        work()
        gc.collect()


def _codes_of(work: Callable[[], None]) -> set[CodeType]:
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return codes


def _relay(codes: set[CodeType]) -> None:
    """Give each function that runs one of these codes a copy of it, one copy after the other."""
    copies: dict[CodeType, CodeType] = {}
    for function in gc.get_objects():
        if type(function) is FunctionType and (code := function.__code__) in codes:
            if code not in copies:
                copies[code] = _copy(code, codes)
            function.__code__ = copies[code]


def _copy(code: CodeType, codes: set[CodeType]) -> CodeType:
    """A copy, with copies of the codes inside that are among ``codes``: those of its comprehensions, say."""
    return code.replace(
        co_consts=tuple(
            _copy(each, codes) if isinstance(each, CodeType) and each in codes else each
            for each in code.co_consts
        )
    )
