from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import netns
from tests.appliance.machines import Machines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """Hosts of one test; they are ended with it."""
    machines = Machines(tmp_path)
    try:
        yield machines
    finally:
        machines.close()


@pytest.fixture
def network(machines: Machines) -> Iterator[netns.Network]:
    """A switch to put machines on; the hosts on them end before it does."""
    reason = netns.unavailable()
    if reason:
        pytest.skip(reason)
    with netns.network() as network:
        yield network
        machines.close()
