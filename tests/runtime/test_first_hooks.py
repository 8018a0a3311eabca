"""What a host says about the arrival hook of a paglet to the host that it came from."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace

from paglets.core.errors import LifecycleError
from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.records import HookKind, PendingHook, Phase
from paglets.remote.api import ArrivalParams
from paglets.runtime.residents import Residents
from paglets.runtime.transfers.first_hooks import FirstHooks
from tests.persistence.builders import record

if TYPE_CHECKING:
    from paglets.runtime.residents import Resident

ASKED = Incarnation(epoch=2)


def lives(life: Incarnation, begins: HookKind) -> tuple[FirstHooks, Resident]:
    residents = Residents(limit=4, mailbox_limit=4)
    hooks = FirstHooks(
        residents=residents, peers=cast("Any", None), waits=cast("Any", None), here=cast("Any", None)
    )
    return hooks, residents.add(replace(record("p"), incarnation=life, pending=PendingHook(begins, {})))


def asking(hooks: FirstHooks) -> asyncio.Task[None]:
    params = ArrivalParams(agent_id="p", incarnation=ASKED, timeout=10.0)
    return asyncio.ensure_future(hooks.returned_here(params))


@pytest.mark.parametrize("kind", [HookKind.ARRIVAL, HookKind.CLONE])
async def test_a_restart_in_the_middle_of_the_hook_is_not_its_success(kind: HookKind) -> None:
    hooks, resident = lives(ASKED.next(), kind)
    asked = asking(hooks)
    await asyncio.wait([asked], timeout=0.05)
    assert not asked.done(), "the hook runs again, and has not returned"
    resident.settled.set_exception(LifecycleError("on_arrival failed"))
    with pytest.raises(LifecycleError, match="on_arrival failed"):
        await asked


@pytest.mark.parametrize(
    ("life", "begins"),
    [
        (ASKED.next(), HookKind.ACTIVATION),
        (Incarnation(epoch=1), HookKind.ARRIVAL),
        (Incarnation(Lineage(1, "h"), 9), HookKind.ARRIVAL),
    ],
)
async def test_what_another_life_begins_with_is_not_waited_for(life: Incarnation, begins: HookKind) -> None:
    hooks, _ = lives(life, begins)
    await asyncio.wait_for(asking(hooks), 5.0)


async def test_one_that_arrived_to_be_parked_and_is_moved_on_is_not_waited_for() -> None:
    hooks, resident = lives(ASKED, HookKind.ARRIVAL)
    resident.record = replace(resident.record, phase=Phase.INACTIVE)
    async with asyncio.timeout(5):
        await asking(hooks)


async def test_a_life_has_begun_when_its_hook_has_returned_well() -> None:
    for how, begun in (("waits", False), ("raised", False), ("returned", True)):
        _, resident = lives(ASKED, HookKind.ARRIVAL)
        if how == "raised":
            resident.settled.set_exception(LifecycleError("on_arrival failed"))
        elif how == "returned":
            resident.settled.set_result(None)
        assert resident.has_begun is begun, how
