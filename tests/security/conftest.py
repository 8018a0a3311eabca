"""A host that is attacked, and those who attack it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.persistence.store import Store
from paglets.runtime.host import Host
from tests.security.intruder import Intruder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hosts of a module are."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def store(site: Path) -> Store:
    """The victim's store, to look into."""
    (site / "victim").mkdir()
    return Store(site / "victim" / "store")


@pytest.fixture(scope="module")
def victim(site: Path, store: Store) -> Iterator[Host]:
    """A whole host; it has to be as good at the end of a module as at its beginning."""
    host = Host("victim", mesh_dir=site / "mesh", persistence_dir=site / "victim", store=store)
    host.start_background()
    yield host
    host.stop()


@pytest.fixture
def mallory(site: Path, victim: Host) -> Intruder:
    """A host of the same mesh that misbehaves."""
    return Intruder.host(site / "mesh")


@pytest.fixture
def admin(site: Path, victim: Host) -> Intruder:
    """An admin of the same mesh who misbehaves."""
    return Intruder.admin(site / "mesh")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Intruder:
    """A host of another mesh."""
    return Intruder.host(tmp_path_factory.mktemp("other") / "mesh", "stranger")
