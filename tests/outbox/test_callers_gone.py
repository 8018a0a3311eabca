"""What is durable goes its way, although whoever asked for it has hung up in between."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.incarnation import Incarnation
from paglets.persistence.outbox_records import OutboxEntry
from paglets.persistence.persistency import DeactivationPolicy
from paglets.persistence.records import Forward, PagletRecord, Phase
from paglets.persistence.store import Store
from paglets.remote.api import MessageParams
from paglets.remote.transfer import ArrivalMode, TransferTicket
from paglets.runtime.outbox.judging import plain, queued_record
from paglets.runtime.transfers.onward import Onward
from tests.outbox.agents import Lister
from tests.outbox.asking import items, note, outbox
from tests.outbox.bringing import as_brought, life_of, received, waiting_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.persistence import outbox_rules
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def take_and_hang_up(host: Host, params: MessageParams) -> None:
    """A host's outbox brings a message, and is cut off while it is being written."""
    life = life_of(host)

    async def ask() -> None:
        loop = asyncio.get_running_loop()

        def rule(tx: LmdbTransaction) -> outbox_rules.Received:
            loop.call_soon_threadsafe(asking.cancel)  # and what is written is told behind that
            return received(tx, 1, params)

        asking = asyncio.create_task(life.core.population.delivery.take_durably(params, rule))
        with pytest.raises(asyncio.CancelledError):
            await asking

    life.thread.run(ask(), 30.0)


@pytest.mark.parametrize("where", ["at work", "parked", "away"])
def test_a_message_is_brought_whose_sender_was_cut_off_when_it_was_durable(
    paglets_mesh: LocalMesh, where: str
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Lister)
    if where == "parked":
        proxy.deactivate()
    if where == "away":
        proxy.dispatch(b.address)
    params = as_brought(proxy, "kept")
    take_and_hang_up(a, params)
    there = b if where == "away" else a
    now = there.proxy_for(there.address, proxy.agent_id)
    paglets_mesh.wait_until(now.is_active)  # asking it something would wake it
    paglets_mesh.wait_until(lambda: items(now) == ["kept"])
    assert not outbox(a)


def test_a_message_that_waits_already_for_a_paglet_at_work_is_not_brought_once_more(
    paglets_mesh: LocalMesh,
) -> None:
    a = paglets_mesh.start("a")
    proxy = a.create(Lister)
    params = as_brought(proxy, "once")
    life = life_of(a)

    async def bring_twice() -> None:
        mailbox = life.core.ground.residents.get(proxy.agent_id).mailbox
        mailbox.hold()
        for number in (1, 2):  # its sender has lost track of the first one

            def rule(tx: LmdbTransaction, number: int = number) -> outbox_rules.Received:
                return received(tx, number, params)

            await life.core.population.delivery.take_durably(params, rule)
        mailbox.let_go()
        life.core.population.mailboxes.pump(life.core.ground.residents.get(proxy.agent_id))

    life.thread.run(bring_twice(), 30.0)
    paglets_mesh.wait_until(lambda: not waiting_at(a, proxy.agent_id))
    assert items(proxy) == ["once"]


def test_a_message_that_was_sent_on_from_a_host_and_comes_back_with_its_paglet_is_not_taken_for_a_copy(
    paglets_mesh: LocalMesh,
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Lister)
    afar = b.proxy_for(a.address, proxy.agent_id)
    parked = TransferTicket(b.address, arrival_mode=ArrivalMode.INACTIVE)
    proxy.deactivate(policy=DeactivationPolicy(activate_on_message=False))
    afar.send_oneway(note("kept"))  # brought directly, by another host
    there = proxy.dispatch(parked)
    paglets_mesh.wait_until(lambda: waiting_at(b, proxy.agent_id))
    home = there.dispatch(replace(parked, destination=a.address))
    home.activate()
    paglets_mesh.wait_until(lambda: items(home) == ["kept"])
    # A host hears a moment later that it was taken.
    paglets_mesh.wait_until(lambda: not outbox(a) and not outbox(b))


GONE = Forward("b", "https://b:1", "b", Incarnation(epoch=2), 0.0)


class LateStore(Store):
    """Lets a message be queued right behind the last look into an empty queue."""

    onward: Onward
    asked = False

    async def read(self, function: Callable[[ReadTransaction], Any]) -> Any:
        """See ``Store.read``."""
        seen = await super().read(function)
        if not self.asked:
            self.asked = True
            waits = queued_record(plain(MessageParams(agent_id="it", kind="note", message_id="m")))
            await self.commit(lambda tx: tx.append_queued("it", waits))
            asyncio.get_running_loop().call_soon(
                self.onward.begin, "it"
            )  # before the task is known to have ended
        return seen


class Bag:
    """Takes what is to be brought to other hosts."""

    def __init__(self) -> None:
        self.got = asyncio.Event()

    def entry(self, host_id: str, url: str, params: MessageParams) -> OutboxEntry:
        """See ``Carrier``."""
        message = msgspec.json.encode(params)
        return OutboxEntry(
            "", params.agent_id, params.message_id, params.kind, message, url, time.time(), 60.0, host_id
        )

    def kept(self, entry: OutboxEntry) -> None:
        """See ``Carrier``."""
        self.got.set()


async def test_a_message_is_sent_on_that_was_queued_while_the_emptying_of_its_queue_ended(
    tmp_path: Path,
) -> None:
    with LateStore(tmp_path) as store:
        departed = PagletRecord(
            agent_id="it", birth="a", phase=Phase.DEPARTED, incarnation=Incarnation(),
            class_name="app:Worker", state_class_name="app:State", forward=GONE,
        )  # fmt: skip
        await store.commit(lambda tx: tx.put_paglet(departed))
        store.onward = Onward(store=store)
        store.onward.carrier = bag = Bag()
        store.onward.begin("it")
        async with asyncio.timeout(10.0):
            await bag.got.wait()
        assert not store.read_sync(lambda tx: tx.queued("it"))
        await store.onward.aclose()
