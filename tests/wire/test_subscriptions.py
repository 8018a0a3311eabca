"""Events over a control link: in order, stopped, and dropped when a subscriber is too slow."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError
from tests.wire.raw_link import RawLink
from tests.wire.site import NOTHING, EchoParams, Rig, Site, settled, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.subscriptions import Push


class Inbox:
    def __init__(self) -> None:
        self.events: list[int] = []
        self.ended = ""

    def __call__(self, event: bytes | None, why: str) -> None:
        if event is None:
            self.ended = why
        else:
            self.events.append(json.loads(event))


async def test_events_arrive_in_order_until_the_subscriber_stops(site: Site) -> None:
    rig, pool, inbox = await site.rig(), site.pool(), Inbox()
    stop = await pool.subscribe(rig.address, "events", NOTHING, inbox, timeout=5)
    for number in range(100):
        rig.pushes[0](number)
    await until(lambda: len(inbox.events) == 100)
    assert inbox.events == list(range(100))
    stop()
    stop()
    await until(lambda: rig.stopped == 1)
    assert not rig.pushes
    assert inbox.ended == ""


async def test_events_that_come_with_the_answer_are_not_lost(site: Site) -> None:
    class Eager(Rig):
        def subscribe(self, peer: Peer, params: EchoParams, push: Push) -> Callable[[], None]:
            for number in range(10):
                push(number)
            return super().subscribe(peer, params, push)

    rig = Eager(site.mesh, site.directory)
    await rig.start()
    site.stack.push_async_callback(rig.listener.close)
    inbox = Inbox()
    await site.pool().subscribe(rig.address, "events", NOTHING, inbox, timeout=5)
    await until(lambda: inbox.events == list(range(10)))


async def test_a_subscription_ends_with_its_connection_at_both_ends(site: Site) -> None:
    rig, pool, inbox = await site.rig(), site.pool(), Inbox()
    await pool.subscribe(rig.address, "events", NOTHING, inbox, timeout=5)
    push = rig.pushes[0]
    await rig.listener.close("the host stops")
    await until(lambda: inbox.ended)
    assert "the host stops" in inbox.ended
    assert rig.stopped == 1
    push(1)  # harmless after the end


async def test_a_slow_subscriber_is_dropped_with_a_notice_and_the_link_lives_on(site: Site) -> None:
    rig = await site.rig(subscription_queue=10)
    async with RawLink.open(rig, site.member()) as link:
        assert (await link.ask(b'{"jsonrpc":"2.0","method":"events","id":1}'))["result"] == {
            "subscription": 1
        }
        link.stop_reading()
        pushed = 0
        while rig.stopped == 0:
            for push in tuple(rig.pushes):
                push("x" * 100_000)
            pushed += 1
            assert pushed < 1000
            await asyncio.sleep(0)
        link.channel.release_reading()
        received = 0
        while (frame := await link.next())["method"] == "event":
            received += 1
        assert frame["method"] == "subscription.ended"
        assert "too slow" in frame["params"]["reason"]
        assert received < pushed
        assert (await link.ask(b'{"jsonrpc":"2.0","method":"echo","id":2}'))["id"] == 2


async def test_queued_events_follow_when_the_subscriber_reads_again(site: Site) -> None:
    rig = await site.rig(subscription_bytes=64 * 1024 * 1024)
    async with RawLink.open(rig, site.member()) as link:
        await link.ask(b'{"jsonrpc":"2.0","method":"events","id":1}')
        link.stop_reading()
        for number in range(200):
            rig.pushes[0]([number, "x" * 100_000])
            await asyncio.sleep(0)
        await settled(lambda: len(rig.pushes))
        link.channel.release_reading()
        numbers = [(await link.next())["params"]["event"][0] for _ in range(200)]
        assert numbers == list(range(200))


async def test_subscriptions_of_a_connection_are_bounded(site: Site) -> None:
    rig, pool = await site.rig(max_subscriptions=2), site.pool()
    for _ in range(2):
        await pool.subscribe(rig.address, "events", NOTHING, Inbox(), timeout=5)
    with pytest.raises(HostError, match="as many subscriptions"):
        await pool.subscribe(rig.address, "events", NOTHING, Inbox(), timeout=5)


async def test_cancelling_what_is_no_subscription_is_harmless(site: Site) -> None:
    rig = await site.rig()
    async with RawLink.open(rig, site.member()) as link:
        cancel = b'{"jsonrpc":"2.0","method":"subscription.cancel","id":1,"params":{"subscription":%b}}'
        assert (await link.ask(cancel % b"77"))["result"] == {}
        assert (await link.ask(cancel % b'"x"'))["error"]["code"] == -32602
