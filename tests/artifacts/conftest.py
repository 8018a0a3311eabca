from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.artifacts import ArtifactStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[ArtifactStore]:
    """A store of artifacts in a directory of its own."""
    with ArtifactStore(
        tmp_path / "artifacts", host_url="https://h:1", max_artifact_bytes=3_000_000, quota_bytes=5_000_000
    ) as store:
        yield store
