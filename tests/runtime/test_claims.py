"""Who waits for a paglet that is on its way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace

from paglets.core.errors import LifecycleError
from paglets.persistence.records import Phase
from paglets.runtime.caller import PROGRAM
from paglets.runtime.claims import Claims
from paglets.runtime.mailboxes import Mailboxes
from paglets.runtime.residents import Residents
from tests.persistence.builders import record

if TYPE_CHECKING:
    from paglets.runtime.residents import Resident


def parked_on_its_way() -> tuple[Residents, Claims, Resident]:
    """A parked paglet has no process; it is on the table while it moves."""
    residents = Residents(limit=4, mailbox_limit=4)
    nothing = cast("Any", None)
    mailboxes = Mailboxes(residents=residents, store=nothing, events=nothing, checkpoints=nothing)
    moving = residents.add(replace(record("p"), phase=Phase.INACTIVE, pending=None))
    return residents, Claims(residents, mailboxes), moving


async def test_an_operation_waits_for_a_parked_paglet_that_moves_and_then_finds_it_gone() -> None:
    residents, claims, moving = parked_on_its_way()

    async def look() -> Resident | None:
        async with claims.take("p", PROGRAM, timeout=30) as resident:
            return resident

    async with asyncio.timeout(10):
        waits = asyncio.create_task(look())
        await asyncio.sleep(0)
        assert not waits.done()
        residents.remove(moving)
        assert await waits is None


async def test_a_hook_that_nothing_will_run_is_not_waited_for() -> None:
    residents, _, moving = parked_on_its_way()
    residents.remove(moving)
    with pytest.raises(LifecycleError, match="not at work here any more"):
        await moving.settled
