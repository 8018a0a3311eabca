"""Fixtures for pytest: ``pytest_plugins = ["paglets.testing.plugin"]`` in a test module or in the topmost conftest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh
    from paglets.testing.points import Points


@pytest.fixture
def paglets_mesh(tmp_path: Path) -> Iterator[LocalMesh]:
    """A mesh with no host yet, of the test's own, below its ``tmp_path``."""
    from paglets.testing.mesh import LocalMesh  # noqa: PLC0415 - tests without a host do not load one

    with LocalMesh(tmp_path / "paglets") as mesh:
        yield mesh


@pytest.fixture
def paglets_host(paglets_mesh: LocalMesh) -> Host:
    """A started host called ``host``, in ``paglets_mesh``."""
    return paglets_mesh.start("host")


@pytest.fixture
def paglets_points(tmp_path: Path) -> Iterator[Points]:
    """Points to hold at, for the test and for every paglet that it starts; all are let go at the end."""
    from paglets.testing.points import Points  # noqa: PLC0415 - the same

    with Points(tmp_path / "points").everywhere() as points:
        yield points
