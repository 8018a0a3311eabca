"""Queued messages that come in between two steps of their paglet are handled in the life that begins, once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from paglets.core.errors import TransferError
from paglets.persistence.errors import StoreFullError
from paglets.persistence.journal import lifecycle
from paglets.remote import api
from paglets.remote.transfer import ArrivalMode, TransferTicket
from paglets.runtime.residents import Resident
from tests.outbox.agents import Lister
from tests.outbox.asking import call, items, note
from tests.outbox.bringing import as_brought, life_of, put_unseen, received, receives, waiting_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence import outbox_rules
    from paglets.persistence.journal.starting import Started
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.store import Store
    from paglets.remote.api import MessageParams
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


@pytest.mark.parametrize("also_later", [False, True])
def test_a_message_between_the_commit_that_begins_a_life_and_its_place_on_the_table(
    paglets_mesh: LocalMesh, *, also_later: bool
) -> None:
    """A move that came back begins a life so, and other messages share its commit."""
    a = paglets_mesh.start("a")
    proxy = a.create(Lister)
    population: Any = life_of(a).core.population
    early, late = as_brought(proxy, "early"), as_brought(proxy, "late")
    begun: list[Started] = []

    def rule(tx: LmdbTransaction) -> outbox_rules.Received:
        event = {"reason": "recovered"}
        begun.append(lifecycle.recover(tx, proxy.agent_id, here.incarnation, event=event, at=time.time()))
        return received(tx, 1, early)

    here = life_of(a).core.ground.residents.get(proxy.agent_id)

    async def come_between() -> None:
        await population.delivery.take_durably(early, rule)
        await population.lifecycle.start_life(begun[0], replacing=here)
        if also_later:
            await population.delivery.take_durably(late, receives(2, late))

    life_of(a).thread.run(come_between(), 30.0)
    expected = ["early", "late"] if also_later else ["early"]
    paglets_mesh.wait_until(lambda: items(proxy) == expected)
    paglets_mesh.wait_until(lambda: not waiting_at(a, proxy.agent_id))
    assert items(proxy) == expected


def put_into_the_queue(a: Host, proxy: PagletProxy, params: MessageParams) -> None:
    """A message waits for a paglet at work, which has no time for it yet."""

    async def put() -> None:
        life_of(a).core.ground.residents.get(proxy.agent_id).mailbox.hold()
        await life_of(a).core.population.delivery.take_durably(params, receives(1, params))

    life_of(a).thread.run(put(), 30.0)
    assert len(waiting_at(a, proxy.agent_id)) == 1


def test_a_paglet_that_is_parked_while_a_message_waits_in_its_queue_wakes_for_it(
    paglets_mesh: LocalMesh,
) -> None:
    a = paglets_mesh.start("a")
    proxy = a.create(Lister)
    put_into_the_queue(a, proxy, as_brought(proxy, "early"))
    proxy.deactivate()
    paglets_mesh.wait_until(proxy.is_active)  # asking it something would wake it
    paglets_mesh.wait_until(lambda: items(proxy) == ["early"])


@pytest.mark.parametrize("wakes", [True, False])
def test_a_host_that_ended_before_it_woke_a_paglet_for_its_message_wakes_it_when_it_is_back(
    paglets_mesh: LocalMesh, *, wakes: bool
) -> None:
    a = paglets_mesh.start("a")
    proxy = a.create(Lister)
    proxy.deactivate()
    message = replace(as_brought(proxy, "early"), activate_if_inactive=wakes)
    put_unseen(a, message)
    a = paglets_mesh.restart("a")
    proxy = a.proxy_for(a.address, proxy.agent_id)
    if wakes:
        paglets_mesh.wait_until(proxy.is_active)
    else:
        paglets_mesh.wait_until(lambda: a.status()["ready"])
        assert not proxy.is_active()
        assert len(waiting_at(a, proxy.agent_id)) == 1
    paglets_mesh.wait_until(lambda: items(proxy) == ["early"])


def test_a_paglet_that_waited_for_a_host_wakes_for_what_came_meanwhile_when_it_is_taken_out(
    paglets_mesh: LocalMesh,
) -> None:
    a = paglets_mesh.start("a")
    paglets_mesh.start("b")
    paglets_mesh.stop("b")
    proxy = a.create(Lister)
    proxy.deactivate()
    proxy.dispatch(TransferTicket("b", queue=True))
    put_unseen(a, as_brought(proxy, "early"))
    proxy.deactivate()
    paglets_mesh.wait_until(proxy.is_active)
    paglets_mesh.wait_until(lambda: items(proxy) == ["early"])


def test_a_parked_paglet_that_was_refused_elsewhere_wakes_for_what_came_meanwhile(
    paglets_mesh: LocalMesh,
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    call(b, api.HOST_DRAIN, api.DrainParams(action=api.DrainAction.BEGIN))  # it takes none in now
    proxy = a.create(Lister)
    proxy.deactivate()
    put_unseen(a, as_brought(proxy, "early"))
    with pytest.raises(TransferError):
        proxy.dispatch(b.address)
    paglets_mesh.wait_until(proxy.is_active)
    paglets_mesh.wait_until(lambda: items(proxy) == ["early"])


def test_a_paglet_that_comes_home_to_be_parked_wakes_for_what_waits_there(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Lister)
    there = proxy.dispatch(b.address)
    put_unseen(a, as_brought(proxy, "early"))  # and nothing sends it on
    home = there.dispatch(TransferTicket(a.address, arrival_mode=ArrivalMode.INACTIVE))
    paglets_mesh.wait_until(home.is_active)
    paglets_mesh.wait_until(lambda: items(home) == ["early"])


def test_an_activation_waits_for_a_move_of_a_parked_paglet_that_fails(paglets_mesh: LocalMesh) -> None:
    a = paglets_mesh.start("a")
    proxy = a.create(Lister)
    proxy.deactivate()
    life = life_of(a)
    store: Store = life.store
    record = store.read_sync(lambda tx: tx.paglet(proxy.agent_id))

    async def move_in_vain() -> None:
        residents = life.core.ground.residents
        moving = residents.add(record)
        wakes = asyncio.create_task(life.core.population.lifecycle.rouse(proxy.agent_id))
        await asyncio.sleep(0.05)
        assert not wakes.done()
        residents.remove(moving)
        await wakes

    life.thread.run(move_in_vain(), 30.0)
    paglets_mesh.wait_until(proxy.is_active)


def test_what_was_overlooked_is_for_the_life_that_it_came_for(paglets_mesh: LocalMesh) -> None:
    a = paglets_mesh.start("a")
    proxy = a.create(Lister)
    put_into_the_queue(a, proxy, as_brought(proxy, "early"))
    mailboxes: Any = life_of(a).core.population.mailboxes
    earlier = life_of(a).core.ground.residents.get(proxy.agent_id)
    later = replace(earlier.record, incarnation=earlier.incarnation.next())

    async def read() -> list[list[Any]]:
        mailboxes.overlooked(later)
        seen = [list(await mailboxes.waiting_for(earlier, ()))]
        now = Resident(later, earlier.mailbox, None)
        return [*seen, *[list(await mailboxes.waiting_for(now, ())) for _ in range(2)]]

    assert [len(each) for each in life_of(a).thread.run(read(), 30.0)] == [0, 1, 0]


class FullFor:
    """A store that takes no writes for so many of them."""

    def __init__(self, store: Store, times: int) -> None:
        self._store = store
        self.left = times

    async def commit(self, rule: Callable[[LmdbTransaction], Any], **options: Any) -> Any:
        if self.left:
            self.left -= 1
            raise StoreFullError("no space left")
        return await self._store.commit(rule, **options)

    async def read(self, function: Callable[[ReadTransaction], Any]) -> Any:
        return await self._store.read(function)


@pytest.mark.parametrize("how", ["parked", "moved", "checkpointed"])
def test_a_message_that_could_not_be_taken_off_its_queue_is_handled_once_all_the_same(
    paglets_mesh: LocalMesh, how: str
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Lister)
    mailboxes: Any = life_of(a).core.population.mailboxes
    disk = FullFor(life_of(a).store, 1)
    mailboxes._store = disk
    put_into_the_queue(a, proxy, as_brought(proxy, "once"))
    let_go(a, proxy)
    paglets_mesh.wait_until(lambda: items(proxy) == ["once"] and not disk.left)
    assert len(waiting_at(a, proxy.agent_id)) == 1
    if how == "checkpointed":
        proxy.send(note("more"))  # its handler makes a checkpoint
    elif how == "parked":
        proxy.deactivate()
        proxy.activate()
    else:
        proxy.dispatch(b.address)
    assert not waiting_at(a, proxy.agent_id)
    now = b.proxy_for(b.address, proxy.agent_id) if how == "moved" else proxy
    assert items(now) == (["once", "more"] if how == "checkpointed" else ["once"])


def let_go(a: Host, proxy: PagletProxy) -> None:
    """It has time again."""

    async def go() -> None:
        resident = life_of(a).core.ground.residents.get(proxy.agent_id)
        resident.mailbox.let_go()
        life_of(a).core.population.mailboxes.pump(resident)

    life_of(a).thread.run(go(), 10.0)
