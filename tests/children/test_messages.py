"""A child handles messages one at a time, and its errors arrive as what they are."""

from __future__ import annotations

import asyncio
import json

import pytest

from paglets.core.errors import HostError, NotHandledError, SerializationError
from paglets.persistence.records import HookKind
from paglets.runtime.child_specs import Message
from tests.children.support import BOUND, TestHost, deliver, send


async def test_a_reply_comes_back(host: TestHost) -> None:
    child = await host.created()
    assert await send(child, "echo", {"a": [1, None, "ü"]}) == {"a": [1, None, "ü"]}
    assert await send(child, "notes") == ["creation None at here"]


async def test_a_message_tells_who_sent_it(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    reply = json.loads(await deliver(child, Message(kind="who", message_id="m17", sender="a-friend")))
    assert reply == {"sender": "a-friend", "id": "m17", "thread": "MainThread"}


async def test_messages_are_handled_in_order_and_one_at_a_time(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    assert await asyncio.gather(*(send(child, "count") for _ in range(50))) == list(range(1, 51))


async def test_errors_arrive_as_their_classes(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    with pytest.raises(NotHandledError, match="Notes does not handle messages of kind 'unknown'"):
        await send(child, "unknown")
    with pytest.raises(HostError, match="ZeroDivisionError: it cannot be divided") as caught:
        await send(child, "fail")
    assert "do_fail" in "".join(caught.value.__notes__)
    with pytest.raises(SerializationError):
        await send(child, "unserializable")
    with pytest.raises(SerializationError):
        await deliver(child, Message(kind="echo", message_id="m", body=b"[1]"))
    assert await send(child, "echo", 1) == 1, "the child lives on"


async def test_what_is_too_long_for_a_frame_is_refused_by_name(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    long = b'{"arg": "' + b"x" * (17 * 1024 * 1024) + b'"}'
    with pytest.raises(SerializationError, match="cannot be told to paglet agent: Deliver of"):
        await deliver(child, Message(kind="echo", message_id="m", body=long))
    assert await send(child, "echo", "x" * 5_000_000) == "x" * 5_000_000


async def test_what_is_no_text_is_refused(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    with pytest.raises(SerializationError, match="cannot be told to paglet agent: Deliver with characters"):
        await deliver(child, Message(kind="echo\ud800", message_id="m", body=b"{}"))
    assert await send(child, "echo", 1) == 1


async def test_an_answer_that_nobody_waits_for_is_dropped(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    waiting = asyncio.ensure_future(send(child, "sleep", seconds=0.1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await send(child, "echo", "next") == "next"


async def test_a_hook_that_raises_tells_so_and_may_run_again(zygote_host: TestHost) -> None:
    child = await zygote_host.admitted("Fragile")
    with pytest.raises(HostError, match="RuntimeError: not ready yet"):
        await child.run_hook(HookKind.ARRIVAL, {"source_host_name": "there"})
    await child.run_hook(HookKind.ARRIVAL, {"source_host_name": "there", "unknown": "ignored"})
    assert await send(child, "notes") == ["arrival from there"]


async def test_init_reaches_the_creation_hook(zygote_host: TestHost) -> None:
    child = await zygote_host.admitted()
    await child.run_hook(HookKind.CREATION, {}, init=b'{"a": [1]}')
    assert await send(child, "notes") == ["creation {'a': [1]} at here"]


async def test_the_state_is_read_while_a_handler_is_busy(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    busy = asyncio.ensure_future(send(child, "sleep", seconds=0.3))
    async with asyncio.timeout(BOUND):
        state = json.loads(await child.read_state())
    assert not busy.done()
    assert state["notes"] == ["creation None at here"]
    assert state["count"] == 0
    assert await busy == "slept"


async def test_a_waiting_handler_is_woken_from_outside(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    waiting = asyncio.ensure_future(send(child, "wait"))
    while not waiting.done():
        child.wake()
        await asyncio.sleep(0.01)
    assert await waiting is True
    assert await send(child, "wait", timeout=0.01) is False


async def test_memory_can_be_asked_for(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    assert 500_000 < child.memory() < 100_000_000
    await child.kill()
    assert child.memory() == 0
