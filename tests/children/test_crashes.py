"""However a child ends or misbehaves, its host goes on, and is told what happened."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.errors import HostError, PagletCrashedError
from paglets.runtime.child_specs import Departure, DepartureKind, Limits
from paglets.runtime.children.outcomes import ChildEnd
from paglets.runtime.frames import MAX_FRAME
from tests.children.support import BOUND, TestHost, is_running, open_descriptors, send, until
from tests.standstill import go_on, stop

if TYPE_CHECKING:
    from paglets.runtime.children.child import Child
from paglets.runtime.children.open_calls import MAX_CALLS


async def crash(host: TestHost, kind: str, **args: Any) -> Child:
    """Send a message that ends the child; the child, gone."""
    child = await host.created()
    with pytest.raises(PagletCrashedError, match="the process of paglet agent ended"):
        await send(child, kind, **args)
    assert child.outcome is host.outcomes["agent"]
    assert not is_running(child.pid)
    with pytest.raises(PagletCrashedError):
        await send(child, "echo", 1)
    return child


@pytest.mark.parametrize(
    ("kind", "args", "end", "status"),
    [
        ("exit", {"code": 3}, ChildEnd.EXITED, "exited with 3"),
        ("exit", {"code": 0}, ChildEnd.EXITED, "exited with 0"),
        ("hard_exit", {}, ChildEnd.EXITED, "exited with 7"),
        ("suicide", {"signal": signal.SIGKILL}, ChildEnd.CRASHED, "killed by SIGKILL"),
        ("suicide", {"signal": signal.SIGSEGV}, ChildEnd.CRASHED, "killed by SIGSEGV"),
    ],
)
async def test_ends_are_told_apart(
    host: TestHost, kind: str, args: dict[str, Any], end: ChildEnd, status: str
) -> None:
    child = await crash(host, kind, **args)
    assert child.outcome is not None
    assert child.outcome.end is end
    assert str(child.outcome.status) == status
    assert not child.outcome.wanted


async def test_an_endless_loop_can_be_killed(host: TestHost) -> None:
    child = await host.created()
    spinning = asyncio.ensure_future(send(child, "spin"))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(BOUND):
        outcome = await child.finish(0.1)
    assert outcome.end is ChildEnd.KILLED
    with pytest.raises(PagletCrashedError):
        await spinning


async def test_a_child_that_drops_its_link_is_ended(host: TestHost) -> None:
    child = await host.created()
    with pytest.raises(PagletCrashedError):
        await send(child, "shut_link")
    assert child.outcome is not None
    # Its own reader sees the end as well, and may be faster than the host.
    assert child.outcome.end in {ChildEnd.LINK_CLOSED, ChildEnd.EXITED}
    assert not is_running(child.pid)


def frame(value: Any) -> str:
    body = msgspec.msgpack.encode(value)
    return (len(body).to_bytes(4, "big") + body).hex()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n".hex(), "a frame of .* bytes"),
        ("00000000", "a frame of 0 bytes"),
        ((MAX_FRAME + 1).to_bytes(4, "big").hex(), f"a frame of {MAX_FRAME + 1} bytes"),
        (frame({"no": "frame"}), "no frame of a child"),
        (frame(["unknown", 1]), "no frame of a child"),
        (frame(["answer", "one"]), "no frame of a child"),
        ("00000003c1c1c1", "no frame of a child"),
        (frame(["call", 1, "", "x", b'{}, "to": "victim"', "handler", None]), "not one JSON value"),
        (frame(["call", 1, "", "x", b"[]", "handler", None]), "no JSON object"),
        (frame(["call", 1, "", "x", b'{"a": "\xff"}', "handler", None]), "not one JSON value"),
        (frame(["snapshot", 999, [None, 5], {}]), "no.* came with it"),
    ],
)
async def test_garbage_ends_only_its_sender(zygote_host: TestHost, sent: str, reason: str) -> None:
    bystander = await zygote_host.created(agent_id="bystander")
    child = await crash(zygote_host, "raw", hex=sent)
    assert child.outcome is not None
    assert child.outcome.end is ChildEnd.LINK_VIOLATED
    assert re.search(reason, child.outcome.detail), child.outcome.detail
    assert await send(bystander, "echo", 1) == 1


async def test_an_answer_that_is_no_json_ends_its_sender(zygote_host: TestHost) -> None:
    # The requests so far: admission (1), creation (2), this message (3).
    child = await crash(zygote_host, "raw", hex=frame(["answer", 3, b"{} {}", None]))
    assert child.outcome is not None
    assert child.outcome.end is ChildEnd.LINK_VIOLATED


async def test_an_answer_of_another_kind_ends_its_sender(zygote_host: TestHost) -> None:
    child = await crash(zygote_host, "raw", hex=frame(["snapshot", 3, None, {}]))
    assert child.outcome is not None
    assert "wrong kind" in child.outcome.detail


@pytest.mark.parametrize("size", [100, 1_000_000])
async def test_a_state_that_is_no_json_ends_its_sender(zygote_host: TestHost, size: int) -> None:
    before = open_descriptors()
    child = await zygote_host.created()
    await send(child, "lie_about_state", size=size)
    with pytest.raises(HostError, match="not one JSON value"):
        await child.read_state()
    async with asyncio.timeout(BOUND):
        outcome = await child.wait_ended()
    assert outcome.end is ChildEnd.LINK_VIOLATED
    assert open_descriptors() <= before


async def test_a_payload_that_is_no_sealed_memory_file_is_refused(zygote_host: TestHost) -> None:
    child = await crash(zygote_host, "wrong_descriptor", seq=3)
    assert child.outcome is not None
    assert "no sealed memory file" in child.outcome.detail


async def test_descriptors_without_end_are_refused(zygote_host: TestHost) -> None:
    before = open_descriptors()
    child = await crash(zygote_host, "flood_descriptors")
    assert child.outcome is not None
    assert child.outcome.end is ChildEnd.LINK_VIOLATED
    assert open_descriptors() <= before


async def test_a_flood_of_calls_is_refused_beyond_its_bound_and_its_answers_come_through(
    zygote_host: TestHost,
) -> None:
    answered = asyncio.Event()
    running = 0

    async def slow(_child: Child, _call: object) -> bytes:
        nonlocal running
        running += 1
        await answered.wait()
        return b'"done"'

    zygote_host.on_method["message.send"] = slow
    child = await zygote_host.created()
    flood = asyncio.ensure_future(send(child, "flood_calls", number=MAX_CALLS + 100))
    await until(lambda: running == MAX_CALLS)
    assert await child.read_state(), "it is read while it has calls open"
    answered.set()
    done, refused = await flood
    assert (done, refused) == (MAX_CALLS, 100)


async def test_a_child_that_reads_nothing_holds_up_nobody(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    stop(child.pid)
    bystander = await zygote_host.created(agent_id="bystander")
    big = "x" * 1_000_000
    sending = [asyncio.ensure_future(send(child, "echo", big)) for _ in range(40)]
    await asyncio.sleep(0.05)
    assert await send(bystander, "echo", 1) == 1
    go_on(child.pid)
    assert all(len(reply) == len(big) for reply in await asyncio.gather(*sending))


async def test_calls_under_way_end_with_their_child(zygote_host: TestHost) -> None:
    cancelled = asyncio.Event()

    async def forever(_child: Child, _call: object) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    zygote_host.on_method["message.send"] = forever
    child = await zygote_host.created()
    waiting = asyncio.ensure_future(send(child, "follow"))
    await until(lambda: zygote_host.calls)
    await child.kill()
    assert cancelled.is_set()
    with pytest.raises(PagletCrashedError):
        await waiting


async def test_an_operation_that_fails_for_its_own_reasons_is_told_to_the_paglet(
    zygote_host: TestHost,
) -> None:
    async def broken(_child: Child, _call: object) -> bytes:
        raise KeyError("a fault of the host")

    zygote_host.on_method["host.property"] = broken
    child = await zygote_host.created()
    with pytest.raises(HostError, match="KeyError"):
        await send(child, "property", 1)


async def test_what_a_child_started_ends_with_it(host: TestHost) -> None:
    child = await host.created()
    grandchild = await send(child, "grandchild")
    assert is_running(grandchild)
    await child.kill()
    await until(lambda: not is_running(grandchild))


async def test_a_child_that_is_not_wanted_any_more_ends_at_once(zygote_host: TestHost) -> None:
    child = await zygote_host.created(limits=Limits())
    assert (await child.kill()).end is ChildEnd.KILLED
    assert (await child.kill()).end is ChildEnd.KILLED, "a second time changes nothing"
    with pytest.raises(PagletCrashedError):
        await child.begin_departure(Departure(kind=DepartureKind.CHECKPOINT))
    child.wake()
    child.start_run()
