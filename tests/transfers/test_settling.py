"""A move is settled also when a step of that fails in a way that nobody had thought of."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.errors import StoreBusyError
from paglets.persistence.records import LastStop, MoveKind, Outgoing, Phase
from paglets.persistence.store import Store
from paglets.remote.envelopes.stops import MAX_PASSPORT_BYTES
from paglets.runtime.transfers.passports import last_stop
from tests.host.agents import Recorder
from tests.host.support import ask, start_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.runtime.host import Host

ResultT = TypeVar("ResultT")


class OddStore(Store):
    """The commit that settles a move as arrived fails, once."""

    error: Exception | None = None

    async def commit(self, rule: Callable[[LmdbTransaction], ResultT], **how: Any) -> ResultT:
        error = self.error
        if error is not None and getattr(rule, "__name__", "") == "_settle_arrived":
            self.error = None
            raise error
        return await super().commit(rule, **how)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Host]:
    host = start_host("target", tmp_path)
    yield host
    host.stop()


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, os.strerror(errno.EIO)), StoreBusyError("8192 writes wait for the disk already")],
    ids=["of the system", "of the store"],
)
def test_an_error_as_it_is_written_that_a_paglet_has_arrived(
    target: Host, tmp_path: Path, error: Exception
) -> None:
    store = OddStore(tmp_path / "odd-store")
    source = start_host("source", tmp_path, peers=[target.address], store=store)
    try:
        proxy = source.create(Recorder)
        assert ask(proxy, "add") == 1
        store.error = error
        proxy.dispatch(target.address)
        assert store.error is None
        assert ask(proxy, "add") == 2
        assert source.list_agents(inactive=True) == []
    finally:
        source.stop()


def test_what_is_kept_of_its_last_move_is_bounded_as_a_passport_is() -> None:
    def leaving(header: bytes) -> Outgoing:
        return Outgoing(
            TransferId("a", 1),
            MoveKind.DISPATCH,
            "b",
            "",
            "",
            Incarnation(epoch=2),
            Phase.ACTIVE,
            header,
            0.0,
            1.0,
        )

    assert last_stop(leaving(b"{}"), b"signed") == LastStop(b"{}", b"signed")
    assert last_stop(leaving(b"x" * MAX_PASSPORT_BYTES), b"signed") == LastStop(b"", b"signed")
    assert last_stop(leaving(b"{}"), b"") is None
