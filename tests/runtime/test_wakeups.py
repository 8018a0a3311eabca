"""Paglets that are woken at a time, or by a message, when that does not work at once."""

from __future__ import annotations

import asyncio
import errno
import importlib
import sys
import time
from typing import TYPE_CHECKING

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import HostError
from paglets.core.incarnation import Incarnation
from paglets.persistence.records import PagletRecord, Phase, QueuedRecord
from paglets.persistence.store import Store
from paglets.runtime import wakeups
from paglets.testing.points import Points
from tests.outbox.agents import Lister
from tests.outbox.asking import items, note, seen_from

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from paglets.testing.mesh import LocalMesh


def test_a_wake_up_that_fails_is_tried_again(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    points = Points(tmp_path / "points")
    points.prepare()
    a = paglets_mesh.start("a", points=points)
    proxy = a.create(Lister)
    points.arm("before:active", error=errno.ENOSPC)
    proxy.deactivate(policy=DeactivationPolicy.after(0.1))
    points.wait_reached("before:active")
    paglets_mesh.wait_until(proxy.is_active)


async def test_one_that_was_given_a_later_time_in_the_same_life_sleeps_until_then(tmp_path: Path) -> None:
    woken = asyncio.Event()

    async def wake(agent_id: str) -> None:
        woken.set()

    def parked(at: float) -> PagletRecord:
        policy = DeactivationPolicy(activate_at=at).to_wire()
        return PagletRecord(
            "it", "a", Phase.INACTIVE, Incarnation(), "app:Worker", "app:State", policy=policy
        )

    with Store(tmp_path) as store:
        now = time.time()
        later = parked(now + 0.3)
        await store.commit(lambda tx: tx.put_paglet(later))
        clock = wakeups.Wakeups(store, wake)
        clock.note(parked(now))
        clock.note(later)
        async with asyncio.timeout(20.0):
            await woken.wait()
        assert time.time() >= now + 0.3
        await clock.aclose()


async def test_a_flood_of_messages_for_one_that_cannot_be_woken_makes_no_flood_of_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "_FIRST_RETRY", 0.01)
    tried: list[str] = []
    enough = asyncio.Event()

    async def wake(agent_id: str) -> None:
        tried.append(agent_id)
        if len(tried) == 3:
            enough.set()
        raise HostError("its class is missing")

    with Store(tmp_path) as store:
        parked = PagletRecord("it", "a", Phase.INACTIVE, Incarnation(), "app:Worker", "app:State")
        message = QueuedRecord("m", b"{}", oneway=True, queued_at=0.0)
        await store.commit(lambda tx: (tx.put_paglet(parked), tx.append_queued("it", message)))
        clock = wakeups.Wakeups(store, wake)
        for _ in range(1000):
            clock.mail_waits(parked)
        async with asyncio.timeout(20.0):
            await enough.wait()
        await clock.aclose()
    assert len(tried) == 3


def test_a_queued_message_whose_wake_up_fails_wakes_its_paglet_later(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    points = Points(tmp_path / "points")
    points.prepare()
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b", points=points)
    proxy = b.create(Lister)
    proxy.deactivate()
    paglets_mesh.stop("b")
    seen_from(a, proxy).send_oneway(note("wake"))
    points.arm("before:active", error=errno.ENOSPC)
    b = paglets_mesh.start("b", points=points)
    points.wait_reached("before:active")
    there = seen_from(b, proxy)
    paglets_mesh.wait_until(there.is_active)
    assert items(there) == ["wake"]


def test_one_that_the_start_of_its_host_could_not_wake_is_tried_again(
    paglets_mesh: LocalMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "code" / "not_yet_there.py"
    source.parent.mkdir()
    source.write_text("from tests.outbox.agents import Lister\n\n\nclass Early(Lister):\n    pass\n")
    monkeypatch.setattr(sys, "path", [str(source.parent), *sys.path])
    early = importlib.import_module("not_yet_there").Early
    a = paglets_mesh.start("a")
    created = a.create(early)
    created.deactivate(policy=DeactivationPolicy(activate_on_startup=True))
    paglets_mesh.stop("a")
    away = source.rename(source.with_suffix(".away"))
    a = paglets_mesh.start("a")
    paglets_mesh.wait_until(lambda: a.status()["ready"])
    proxy = seen_from(a, created)
    assert not proxy.is_active(), "its class is missing"
    away.rename(source)
    paglets_mesh.wait_until(proxy.is_active)
