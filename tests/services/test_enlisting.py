"""The first record of a resident service that has never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from paglets.core.incarnation import Incarnation
from paglets.persistence.journal import lifecycle
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.enlisting import enlist
from paglets.persistence.records import HookKind, PagletRecord, PendingHook, Phase
from paglets.persistence.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVICE = PagletRecord(
    agent_id="service.x",
    birth="home",
    phase=Phase.INACTIVE,
    incarnation=Incarnation(),
    class_name="app:Service",
    state_class_name="app:State",
    pending=PendingHook(HookKind.CREATION, {"init": None}),
    host_scoped=True,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path / "store")
    yield opened
    opened.close()


async def test_it_is_created_when_it_is_woken(store: Store) -> None:
    record = await store.commit(lambda tx: enlist(tx, SERVICE))
    started = await store.commit(
        lambda tx: lifecycle.activate(
            tx, "service.x", record.incarnation, event={"reason": "activate"}, at=1.0
        )
    )
    assert started.record.phase is Phase.ACTIVE
    assert started.record.host_scoped
    assert started.record.pending == SERVICE.pending


async def test_its_id_has_to_be_free(store: Store) -> None:
    await store.commit(lambda tx: enlist(tx, SERVICE))
    with pytest.raises(JournalConflict, match="taken"):
        await store.commit(lambda tx: enlist(tx, SERVICE))
    await store.commit(lambda tx: lifecycle.dispose(tx, "service.x", Incarnation(), at=1.0))
    again = await store.commit(lambda tx: enlist(tx, SERVICE))
    assert again.incarnation == Incarnation().next()


@pytest.mark.parametrize(
    "bad",
    [
        replace(SERVICE, phase=Phase.ACTIVE),
        replace(SERVICE, pending=None),
        replace(SERVICE, host_scoped=False),
    ],
    ids=["active", "no-hook", "movable"],
)
async def test_nothing_else_is_enlisted(store: Store, bad: PagletRecord) -> None:
    with pytest.raises(ValueError, match="enlisted"):
        await store.commit(lambda tx: enlist(tx, bad))
