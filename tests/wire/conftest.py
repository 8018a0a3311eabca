"""A site on loopback for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.site import Site, open_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path) as opened:
        yield opened
