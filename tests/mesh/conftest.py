from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paglets.testing.clock import JumpingEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Where nothing is outside the loop, heartbeats of the length that hosts have take no time."""
    if item.path.name == "test_mesh.py":
        return {"jumping": JumpingEventLoop}
    return {"ordinary": asyncio.new_event_loop}
