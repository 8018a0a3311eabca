"""A start looks at what was left unfinished, however many paglets are plainly parked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.incarnation import Incarnation
from paglets.persistence.read_transaction import ReadTransaction
from paglets.persistence.records import Forward, PagletRecord, Phase
from paglets.persistence.store import Store
from paglets.runtime.host import Host
from tests.host.agents import Recorder
from tests.host.support import eventually

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from paglets.persistence.lmdb_transaction import LmdbTransaction

PARKED = PagletRecord(
    "", "birth", Phase.INACTIVE, Incarnation(), "m:C", "m:S", policy=DeactivationPolicy().to_wire()
)


def crowd(txn: LmdbTransaction) -> None:
    forward = Forward("host", "https://127.0.0.1:9", "h", Incarnation(epoch=2), time.time())
    departed = msgspec.structs.replace(PARKED, phase=Phase.DEPARTED, policy={}, forward=forward)
    for number in range(300):
        txn.put_paglet(msgspec.structs.replace(PARKED, agent_id=f"parked-{number}"))
        txn.put_paglet(msgspec.structs.replace(departed, agent_id=f"gone-{number}"))


def test_nobody_looks_at_the_parked_and_the_departed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where: dict[str, Any] = {"mesh_dir": tmp_path / "mesh", "persistence_dir": tmp_path / "data"}
    with Host("crowded", **where) as host:
        runs, wakes, sleeps = (host.create(Recorder).agent_id for _ in range(3))
        for agent_id, policy in (
            (wakes, DeactivationPolicy(activate_on_startup=True)),
            (sleeps, DeactivationPolicy.after(1.0)),
        ):
            host.deactivate(agent_id, DeactivationRequest(policy=policy))
    with Store(tmp_path / "data" / "store") as store:
        store.commit_sync(crowd)
    seen: set[str] = set()
    one = ReadTransaction.paglet

    def paglet(txn: ReadTransaction, agent_id: str) -> PagletRecord | None:
        seen.add(agent_id)
        return one(txn, agent_id)

    def paglets(txn: ReadTransaction, after: str = "", limit: int = 0) -> list[PagletRecord]:
        raise AssertionError("all records were asked for")

    monkeypatch.setattr(ReadTransaction, "paglet", paglet)
    monkeypatch.setattr(ReadTransaction, "paglets", paglets)
    with Host("crowded", **where) as host:
        eventually(lambda: host.health()["active_count"] == 3)
    assert seen == {runs, wakes, sleeps}
