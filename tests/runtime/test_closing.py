"""What a host is made of closes part by part, and one that hangs or fails keeps no other from it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from paglets.runtime.closing import Part, close_in_order

if TYPE_CHECKING:
    import pytest


async def _hangs() -> None:
    await _deeper()


async def _deeper() -> None:
    await asyncio.Event().wait()


async def _fails() -> None:
    raise OSError("the disk is gone")


def _recorded(name: str, closed: list[str]) -> Part:
    async def close() -> None:
        closed.append(name)

    return Part(name, close)


async def test_parts_close_one_after_the_other() -> None:
    closed: list[str] = []
    await close_in_order([_recorded(name, closed) for name in ("first", "second", "third")], patience=5)
    assert closed == ["first", "second", "third"]


async def test_one_that_hangs_is_left_and_told_with_where_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []
    await close_in_order([Part("the door", _hangs), _recorded("the window", closed)], patience=0.05)
    assert closed == ["the window"]
    assert "the door did not close within 0.05 s" in caplog.text
    assert "test_closing.py" in caplog.text
    assert "_hangs > " in caplog.text
    assert " _deeper > " in caplog.text


async def test_one_that_fails_is_told_and_the_others_close(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []
    await close_in_order([Part("the door", _fails), _recorded("the window", closed)], patience=5)
    assert closed == ["the window"]
    assert "the door did not close as it should" in caplog.text
    assert "the disk is gone" in caplog.text


async def test_one_that_does_not_heed_its_cancellation_holds_nobody_up() -> None:
    closed: list[str] = []
    let_go = asyncio.Event()
    ended = asyncio.Event()

    async def deaf() -> None:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()
        ended.set()

    await close_in_order([Part("the door", deaf), _recorded("the window", closed)], patience=0.05)
    assert closed == ["the window"]
    assert not ended.is_set()
    let_go.set()
    await asyncio.wait_for(ended.wait(), 5)
