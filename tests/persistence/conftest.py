"""A store on a real LMDB, closed after each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.persistence.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened
