"""Two hosts that never stop talking: what settles moves is told, and forgotten, over the same link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.store import Store
from paglets.runtime.mesh_operations import Greetings
from paglets.runtime.transfers import floor_news
from tests.host.agents import Recorder
from tests.host.support import eventually, start_host

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from paglets.remote.api import HelloParams

MOVES = 12


def test_verdicts_do_not_pile_up_while_a_link_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor_news, "EVERY", 4)
    told: list[int] = []
    genuine = Greetings.take

    async def take(greetings: Greetings, peer_id: str, hello: HelloParams) -> None:
        await genuine(greetings, peer_id, hello)
        told.append(hello.floor)

    a = start_host("a", tmp_path)
    b = start_host("b", tmp_path, peers=[a.address])
    try:
        a.mesh.wait_for_host("b", timeout=10.0)
        paglet = a.create(Recorder)
        here, there = a.address, b.address
        paglet.dispatch(there)
        paglet.dispatch(here)
        monkeypatch.setattr(Greetings, "take", take)
        for _ in range(MOVES // 2):
            paglet.dispatch(there)
            paglet.dispatch(here)
        # Each of both has moved it as often, and told the other after each fourth time.
        eventually(lambda: len([floor for floor in told if floor > MOVES // 2 - 4]) >= 2)
    finally:
        directories = [host.settings.data_dir for host in (a, b)]
        a.stop()
        b.stop()
    for directory in directories:
        (place,) = directory.rglob("store.lmdb")
        with Store(place.parent) as store:
            assert len(store.read_sync(lambda tx: tx.verdicts())) <= 4, "of seven"
