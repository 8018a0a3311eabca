"""States that come when the life that gave them is over."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any, cast

from paglets.persistence.journal.conflict import JournalConflict
from paglets.runtime.checkpoints import Checkpoints
from paglets.runtime.memory_files import Payload
from paglets.runtime.residents import Residents
from tests.persistence.builders import record


async def test_nothing_is_kept_of_a_life_whose_last_state_came_late() -> None:
    residents = Residents(limit=4, mailbox_limit=4)
    over = residents.add(record("p"))
    nothing = cast("Any", None)

    async def later(*_: object, **__: object) -> None:
        raise JournalConflict("p", "another life has begun", None)

    async def stage(_: Payload) -> object:
        return SimpleNamespace(ref=None)

    checkpoints = Checkpoints(
        store=cast("Any", SimpleNamespace(commit=later)),
        states=cast("Any", SimpleNamespace(stage=stage)),
        residents=residents,
        events=nothing,
        here=nothing,
        limits=nothing,
    )
    child = cast("Any", SimpleNamespace(admitted=SimpleNamespace(checkpoint={"mode": "every-message"})))
    letter = cast("Any", SimpleNamespace(durable=False))
    after = cast("Any", SimpleNamespace(payload=Payload.of(b"state"), order=1))
    residents.remove(over)
    await checkpoints.keep(over, letter, child, after)
    gone = weakref.ref(over)
    del over
    async with asyncio.timeout(10):
        while gone() is not None:  # what writes it has still to end
            await asyncio.sleep(0.01)
            gc.collect()
    await checkpoints.aclose()
