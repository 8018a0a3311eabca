"""A mesh of its own for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.mesh_directory import MeshDirectory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mesh(tmp_path: Path) -> MeshDirectory:
    return MeshDirectory(tmp_path / "mesh")


@pytest.fixture
def other_mesh(tmp_path: Path) -> MeshDirectory:
    return MeshDirectory(tmp_path / "other-mesh")


@pytest.fixture
def key() -> HostKey:
    return HostKey.generate()
