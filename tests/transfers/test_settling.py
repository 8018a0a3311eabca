"""A move is settled also when a step of that fails in a way that nobody had thought of."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from paglets.persistence.store import Store
from tests.host.agents import Recorder
from tests.host.support import ask, start_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.persistence.store import StagedBlob
    from paglets.runtime.host import Host


class OddStore(Store):
    """Staging fails in the system, once: when it is asked for the ``fails_at``-th time."""

    fails_at = 0

    async def stage_bytes(self, data: bytes | bytearray | memoryview) -> StagedBlob:
        self.fails_at -= 1
        if self.fails_at == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return await super().stage_bytes(data)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Host]:
    host = start_host("target", tmp_path)
    yield host
    host.stop()


def test_an_error_of_the_system_as_it_is_written_that_a_paglet_has_arrived(
    target: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = OddStore(tmp_path / "odd-store")
    source = start_host("source", tmp_path, peers=[target.address], store=store)
    try:
        proxy = source.create(Recorder)
        assert ask(proxy, "add") == 1
        store.fails_at = 2  # the first is the state, the second the passport
        proxy.dispatch(target.address)
        assert store.fails_at < 0
        assert "was not written" in caplog.text
        assert ask(proxy, "add") == 2
        assert source.list_agents(inactive=True) == []
    finally:
        source.stop()
