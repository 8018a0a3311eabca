"""Messages from a member that does not keep to the rules: forged senders, spliced bodies, floods."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.messages import Message
from paglets.remote import api
from paglets.remote.wire.frames import INTERNAL_ERROR
from tests.security.samples import Quiet
from tests.security.test_operations import frame
from tests.security.watch import goes_on, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host
    from tests.security.intruder import Intruder

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def target(victim: Host) -> Iterator[PagletProxy]:
    proxy = victim.create(Quiet, agent_id="target")
    yield proxy
    proxy.dispose()


@pytest.fixture(scope="module")
def bystander(victim: Host) -> Iterator[PagletProxy]:
    proxy = victim.create(Quiet, agent_id="bystander")
    yield proxy
    proxy.dispose()


def message(body: bytes, kind: str = "echo", **more: Any) -> bytes:
    rest = json.dumps({"agent_id": "target", "kind": kind, "message_id": "m", "timeout": 10, **more})
    return rest[:-1].encode() + b',"body":' + body + b"}"


async def test_who_sends_is_what_the_door_knows(victim: Host, target: PagletProxy, admin: Intruder) -> None:
    async with admin.open(victim.address) as link:
        answer = await link.ask(frame(api.MESSAGE_SEND, message(b"{}", sender="the-director")))
    assert answer["result"]["sender"] is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"args": {"x": 1}, "args": {"agent_id": "bystander"}}',
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b"",
        b'{"args": 5}',
        b'{"args": [1, 2]}',
        b'{"args": null, "arg": {}}',
        b'{"reply_to": "bystander"}',
        b'{"args": {"\\u0000": "\\ud800"}}',
        b'{"a": ' * 2000 + b"1" + b"}" * 2000,
        b'{"args": {"x": 1e999}}',
        b'{"args": {"x": ' + b"9" * 10_000 + b"}}",
    ],
)
async def test_a_body_is_one_object_or_is_refused_and_reaches_nobody_else(
    victim: Host, target: PagletProxy, bystander: PagletProxy, mallory: Intruder, body: bytes
) -> None:
    before = await asyncio.to_thread(victim.get_state, "bystander", Quiet.State)
    async with mallory.open(victim.address) as link:
        for kind in ("echo", "_clone", "_dispatch", "_deactivate", "_revert"):
            answer = await link.ask(frame(api.MESSAGE_SEND, message(body, kind)))
            assert "error" not in answer or answer["error"]["code"] != INTERNAL_ERROR, (kind, answer)
            if kind == "_deactivate" and "result" in answer:
                await asyncio.to_thread(victim.activate, "target")
        assert (await link.ask(frame(api.HOST_STATUS, b"{}", 2)))["result"]
    assert await asyncio.to_thread(victim.get_state, "bystander", Quiet.State) == before
    assert await asyncio.to_thread(target.send, Message("echo"), timeout=10)


async def test_bodies_of_many_megabytes_are_taken_or_refused_and_not_kept(
    victim: Host, target: PagletProxy, mallory: Intruder
) -> None:
    before = memory()
    async with mallory.open(victim.address) as link:
        big = b'{"arg":"' + b"x" * (7 * MIB) + b'"}'
        for number in range(5):
            answer = await link.ask(frame(api.MESSAGE_SEND, message(big), number))
            assert len(answer["result"]["arg"]) == 7 * MIB
    await goes_on(victim)
    assert memory() - before < 150 * MIB


async def test_a_flood_of_messages_is_bounded_by_the_mailbox(
    victim: Host, target: PagletProxy, bystander: PagletProxy, mallory: Intruder
) -> None:
    async with mallory.open(victim.address) as link:
        body = b'{"arg":"' + b"x" * 1000 + b'"}'
        for number in range(1000):
            link.send(
                frame(api.MESSAGE_SEND, message(body, message_id=f"flood-{number}", message_type=3), number)
            )
            if number % 100 == 0:
                await link.channel.drain()
        asked = asyncio.to_thread(bystander.send, Message("echo"), timeout=10)
        assert await asked, "another paglet is served meanwhile"
        answers = [await link.next() for _ in range(1000)]
    assert all("result" in answer or answer["error"]["code"] in {-32000, -32001} for answer in answers)
    await goes_on(victim)
