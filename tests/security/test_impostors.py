"""A host of the mesh that lies when it is asked: whoever asked gets an error, and keeps what it had."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from paglets.core.errors import PagletError, RemoteHostError, TransferError, TransferInDoubtError
from paglets.core.incarnation import TransferId
from paglets.core.messages import Message
from paglets.persistence.records import Outcome
from paglets.remote import api
from paglets.remote.members import Gossip, MemberFact
from paglets.remote.transfer import TransferTicket
from paglets.remote.trust.keys import HostKey
from tests.security.impostor import Impostor
from tests.security.samples import Quiet
from tests.security.watch import alarm, eventually, goes_on, last_event, memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host
    from tests.security.intruder import Intruder

LIES = [
    b"null",
    b"5",
    b"[]",
    b'"x"',
    b'{"places":5}',
    b'{"places":[1]}',
    b'{"lineage":"x"}',
    b"[[[[[[[[[[]]]]]]]]]]",
]


@pytest.fixture
async def impostor(victim: Host, mallory: Intruder) -> AsyncIterator[Impostor]:
    async with Impostor(mallory, victim.settings.mesh_version).open() as impostor:
        yield impostor


@pytest.fixture
def traveller(victim: Host) -> PagletProxy:
    return victim.create(Quiet)


@pytest.mark.parametrize("lie", LIES)
async def test_a_host_that_cannot_say_who_it_is_gets_nothing(
    victim: Host, impostor: Impostor, traveller: PagletProxy, lie: bytes
) -> None:
    impostor.answers[api.HOST_HELLO] = lie
    with pytest.raises(PagletError) as caught:
        await asyncio.to_thread(traveller.dispatch, TransferTicket(impostor.url, timeout=3))
    assert "Traceback" not in str(caught.value)
    assert await asyncio.to_thread(traveller.send, Message("add"), timeout=10) == 1
    assert not impostor.taken


async def test_a_host_that_greets_in_anothers_name_gets_nothing(
    victim: Host, impostor: Impostor, traveller: PagletProxy
) -> None:
    since = await asyncio.to_thread(last_event, victim)
    impostor.answers[api.HOST_HELLO] = impostor.hello(host_id=HostKey.generate().host_id)
    with pytest.raises(TransferError, match="another host than the key"):
        await asyncio.to_thread(traveller.dispatch, TransferTicket(impostor.url, timeout=3))
    await alarm(victim, "greeting", since)
    assert await asyncio.to_thread(traveller.send, Message("add"), timeout=10) == 1


@pytest.mark.parametrize("lie", LIES)
async def test_a_host_that_cannot_say_what_it_has_gives_nothing(
    victim: Host, impostor: Impostor, lie: bytes
) -> None:
    impostor.answers[api.PAGLETS_INFO] = lie
    with pytest.raises(RemoteHostError, match="which life"):
        await asyncio.to_thread(victim.retract, impostor.url, "some-paglet")
    await goes_on(victim)


async def test_lies_about_where_paglets_are_spoil_no_search(
    victim: Host, impostor: Impostor, traveller: PagletProxy
) -> None:
    await asyncio.to_thread(victim.mesh.join, impostor.url)
    good = {"agent_id": "wanted-1", "host_url": impostor.url, "host_name": "impostor"}
    places = {"places": [good, {**good, "agent_id": "something-else"}]}
    for lie in (*LIES, json.dumps(places).encode(), json.dumps({"places": [good] * 5000}).encode()):
        impostor.answers[api.PAGLETS_LOCATE] = lie
        raw = await asyncio.to_thread(
            victim.client.call,
            victim.address,
            api.PAGLETS_LOCATE,
            api.LocateParams(prefix="wanted"),
            timeout=10,
        )
        found = msgspec.json.decode(raw)["places"]
        assert len(found) <= 20
        assert {place["agent_id"] for place in found} <= {"wanted-1"}


@pytest.mark.slow
async def test_only_the_targets_own_signed_word_on_this_very_move_settles_it(
    victim: Host, impostor: Impostor, traveller: PagletProxy
) -> None:
    own = impostor.who.key
    first = impostor.word(TransferId(victim.host_id, 1), "x", api.Incarnation(), Outcome.ARRIVED, own)
    impostor.verdict = first  # its own, on another transfer
    ticket = TransferTicket(impostor.url, timeout=1.0)
    with pytest.raises(TransferInDoubtError):
        await asyncio.to_thread(traveller.dispatch, ticket)
    header = impostor.taken[0]
    said = (header.transfer_id, header.agent_id, header.incarnation)

    def status() -> str:
        raw = victim.client.call(
            victim.address, api.PAGLETS_INFO, api.PagletParams(agent_id=traveller.agent_id), timeout=10
        )
        return msgspec.json.decode(raw)["status"]

    for lie in (
        first,
        impostor.word(*said, Outcome.ARRIVED, HostKey.generate()),
        impostor.word(*said, Outcome.ARRIVED, own)[:-30],
        impostor.word(said[0], "another", said[2], Outcome.ARRIVED, own),
        b'{"outcome":"arrived"}',
    ):
        impostor.answers[api.VERDICT_ASK] = json.dumps({"verdict": base64.b64encode(lie).decode()}).encode()
        await asyncio.sleep(0.3)
        assert await asyncio.to_thread(status) == "in-doubt"
    word = impostor.word(*said, Outcome.FENCED, own)
    impostor.answers[api.VERDICT_ASK] = json.dumps({"verdict": base64.b64encode(word).decode()}).encode()
    await eventually(lambda: status() == "active", "it goes on here", within=40)
    assert await asyncio.to_thread(traveller.send, Message("add"), timeout=10) == 1


@pytest.mark.parametrize(
    "fact",
    [
        {"name": "x" * 300},
        {"name": "a\nb\x1b[2J"},
        {"url": "https://127.0.0.1:1/" + "x" * 600},
        {"addresses": ("https://127.0.0.1:1",) * 100},
        {"tags": ("t" * 5000,)},
        {"properties": {"k": "v" * 5000}},
        {"host_id": ""},
        {"active_count": -5},
        {"url": "no url at all"},
        {"url": "unix:/run/paglets/x.sock"},
    ],
)
async def test_senseless_facts_about_hosts_do_no_harm(
    victim: Host, impostor: Impostor, fact: dict[str, object]
) -> None:
    """Told in a heartbeat of its own, and as gossip about somebody else."""
    stranger = HostKey.generate().host_id
    own = MemberFact(impostor.facts(**{**fact, "host_id": impostor.who.key.host_id}), session=1)
    other = MemberFact(impostor.facts(**{"host_id": stranger, **fact}), incarnation=2**60, session=2)
    for gossip in (
        Gossip(sender=own),
        Gossip(sender=MemberFact(impostor.facts(), session=1), facts=(other,)),
    ):
        with contextlib.suppress(PagletError):
            await impostor.who.ask(victim.address, api.MESH_PING, gossip)
    for host in victim.list_hosts():
        assert host.name.isprintable()
        assert len(host.name) < 256
    await goes_on(victim)


@pytest.mark.slow
async def test_gossip_of_thousands_of_hosts_is_bounded(victim: Host, impostor: Impostor) -> None:
    before = memory()
    for _ in range(12):
        facts = tuple(
            MemberFact(impostor.facts(host_id=HostKey.generate().host_id, name=f"ghost-{number}"))
            for number in range(100)
        )
        gossip = Gossip(sender=MemberFact(impostor.facts(), session=1), facts=facts)
        await impostor.who.ask(victim.address, api.MESH_PING, gossip)
    assert len(victim.list_hosts()) <= 1025
    assert memory() - before < 60 * 1024 * 1024
    await goes_on(victim)
