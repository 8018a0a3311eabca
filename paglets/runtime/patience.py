"""Bounded waits that say in a sentence what was waited for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paglets.core.errors import PagletError


@asynccontextmanager
async def within(
    seconds: float, what: str, *, so: str, error: type[PagletError] = HostError
) -> AsyncGenerator[None]:
    """``error`` when the body takes longer: ``{what} within {seconds} s; {so}``."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise error(f"{what} within {seconds:g} s; {so}") from None
