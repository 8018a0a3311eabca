from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.disks.disk import CannotMountError, FaultyDisk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    try:
        disk = FaultyDisk(tmp_path)
    except (CannotMountError, OSError) as error:
        pytest.skip(f"a file system of our own cannot be mounted here: {error}")
    with disk:
        yield disk
