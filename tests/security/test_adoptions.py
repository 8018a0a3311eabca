"""Members that lie about adoptions: the copy that is here is put aside, never lost, and the liar is named."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.incarnation import Incarnation, Lineage
from paglets.remote import adoption_api, api
from paglets.remote.trust.keys import HostKey
from paglets.remote.wire.frames import FORBIDDEN
from tests.security.samples import Quiet
from tests.security.test_operations import frame
from tests.security.watch import goes_on

if TYPE_CHECKING:
    import msgspec

    from paglets.runtime.host import Host
    from tests.security.intruder import Intruder


def here(victim: Host, method: str, params: msgspec.Struct) -> Any:
    """Ask the host as its operator would."""
    return json.loads(victim.client.call(victim.address, method, params, timeout=20.0))


def notice(who: Intruder, agent_id: str, victim: Host, **changes: Any) -> bytes:
    said: dict[str, Any] = {
        "agent_id": agent_id,
        "birth": victim.host_id,
        "incarnation": [[1, who.key.host_id], 9],
        "host_id": who.key.host_id,
        "url": "https://127.0.0.1:1",
        "name": "mallory",
    }
    return frame(api.ADOPTION_NOTICE, json.dumps({**said, **changes}).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"birth": HostKey.generate().host_id},
        {"incarnation": [[0, ""], 99]},
        {"incarnation": [[2**60, "x"], 1]},
        {"incarnation": [[-1, "x"], 1]},
    ],
)
async def test_a_notice_of_something_else_changes_nothing(
    victim: Host, mallory: Intruder, changes: dict[str, Any]
) -> None:
    proxy = await asyncio.to_thread(victim.create, Quiet)
    async with mallory.open(victim.address) as link:
        await link.ask(notice(mallory, proxy.agent_id, victim, **changes))
        own = {"host_id": victim.host_id}
        await link.ask(notice(mallory, proxy.agent_id, victim, **own))
    info = await asyncio.to_thread(here, victim, api.PAGLETS_INFO, api.PagletParams(agent_id=proxy.agent_id))
    assert info["status"] == "active"
    await asyncio.to_thread(proxy.dispose)
    await goes_on(victim)


async def test_a_false_notice_puts_the_copy_aside_and_its_operator_takes_it_back(
    victim: Host, mallory: Intruder
) -> None:
    proxy = await asyncio.to_thread(victim.create, Quiet)
    agent_id = proxy.agent_id
    async with mallory.open(victim.address) as link:
        assert "result" in await link.ask(notice(mallory, agent_id, victim))
    found = await asyncio.to_thread(here, victim, adoption_api.COPIES_LIST, adoption_api.CopiesListParams())
    assert [each["agent_id"] for each in found["copies"]] == [agent_id]
    told = [event for event in victim.list_events(limit=1000) if event.kind == "quarantined"]
    assert told[-1].data["told_by"] == "mallory"
    params = adoption_api.AdoptCopyParams(copy=agent_id, fence=True)
    adopted = await asyncio.to_thread(here, victim, adoption_api.COPIES_ADOPT, params)
    assert (adopted["status"], adopted["lineage"]) == ("active", 2)
    await asyncio.to_thread(proxy.dispose)
    await goes_on(victim)


async def test_a_forged_higher_lineage_that_arrives_loses_nothing_either(
    victim: Host, mallory: Intruder
) -> None:
    first = mallory.header(victim, incarnation=Incarnation(epoch=5))
    assert (await mallory.send(victim, first)).kind == "arrived"
    incarnation = Incarnation(Lineage(1, mallory.key.host_id), 1)
    forged = mallory.header(victim, agent_id=first.agent_id, incarnation=incarnation)
    assert (await mallory.send(victim, forged)).kind == "arrived"
    found = await asyncio.to_thread(here, victim, adoption_api.COPIES_LIST, adoption_api.CopiesListParams())
    [kept] = found["copies"]
    assert (kept["agent_id"], kept["epoch"], kept["lineage"]) == (first.agent_id, 5, 0)
    dropped = adoption_api.CopyParams(copy=first.agent_id)
    await asyncio.to_thread(here, victim, adoption_api.COPIES_DROP, dropped)
    await goes_on(victim)


async def test_no_host_adopts_for_another_one(victim: Host, mallory: Intruder) -> None:
    asked = {
        adoption_api.TRANSFERS_ADOPT: {"transfer": "x", "fence": True},
        adoption_api.COPIES_ADOPT: {"copy": "x", "fence": True},
        adoption_api.COPIES_DROP: {"copy": "x"},
    }
    async with mallory.open(victim.address) as link:
        for method, params in asked.items():
            answer = await link.ask(frame(method, json.dumps(params).encode()))
            assert answer["error"]["code"] == FORBIDDEN, answer
    await goes_on(victim)
