from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.runtime.launchers.keeper import ZygoteKeeper
from paglets.runtime.launchers.spawn_launcher import SpawnLauncher
from paglets.runtime.launchers.zygote_launcher import ZygoteLauncher
from tests.children.support import TestHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from paglets.runtime.launchers.launcher import Launcher


@pytest.fixture(scope="session")
def keeper() -> Iterator[ZygoteKeeper]:
    """One zygote for the whole run, as a program has one."""
    keeper = ZygoteKeeper()
    keeper.acquire()
    yield keeper
    keeper.release()


def _make(kind: str, keeper: ZygoteKeeper) -> Launcher:
    return ZygoteLauncher(keeper) if kind == "zygote" else SpawnLauncher()


@pytest.fixture(params=["zygote", "spawn"])
async def launcher(request: pytest.FixtureRequest, keeper: ZygoteKeeper) -> AsyncIterator[Launcher]:
    """Either way to make processes."""
    launcher = _make(request.param, keeper)
    await launcher.start()
    yield launcher
    await launcher.aclose()


@pytest.fixture
async def host(launcher: Launcher, tmp_path: Path) -> AsyncIterator[TestHost]:
    """A host over either launcher."""
    host = TestHost(launcher, tmp_path)
    yield host
    await host.aclose()


@pytest.fixture
async def zygote_host(keeper: ZygoteKeeper, tmp_path: Path) -> AsyncIterator[TestHost]:
    """A host over a zygote: where the way a process is made does not matter, the faster one."""
    launcher = ZygoteLauncher(keeper)
    await launcher.start()
    host = TestHost(launcher, tmp_path)
    yield host
    await host.aclose()
    await launcher.aclose()
