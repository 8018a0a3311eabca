"""Futures that nobody has to look at."""

from __future__ import annotations

import asyncio
from typing import Any


def quiet_future() -> asyncio.Future[Any]:
    """A future whose exception is no news when nobody waits for it any more."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(look_away)
    return future


def look_away(future: asyncio.Future[Any]) -> None:
    """Take note of a future's exception, so that the loop does not report it as overlooked."""
    if not future.cancelled():
        future.exception()
