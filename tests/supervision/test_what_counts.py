"""What counts as a paglet's own crash when its next life does not begin, and what was not its doing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from paglets.core.context_events import ContextEventLog
from paglets.core.errors import HostError, PagletError
from paglets.runtime.children.outcomes import LauncherLostError
from paglets.runtime.events import Events
from paglets.runtime.here import Here
from paglets.runtime.launchers.launcher import LauncherDiedError
from paglets.runtime.mailboxes import Mailboxes
from paglets.runtime.memory_room import NoMemoryLeftError
from paglets.runtime.residents import ClaimedError, Residents
from paglets.runtime.supervision.supervision import Supervision
from tests.persistence.builders import record


@pytest.mark.parametrize("kind", [LauncherLostError, LauncherDiedError, NoMemoryLeftError, ClaimedError])
async def test_what_was_not_its_doing_is_tried_again_and_not_counted(kind: type[PagletError]) -> None:
    assert await told_of_one_that_did_not_begin(kind("it was busy elsewhere")) == 0


async def test_what_may_have_been_its_doing_is_counted() -> None:
    assert await told_of_one_that_did_not_begin(HostError("its module is slow to import")) == 1


async def told_of_one_that_did_not_begin(error: PagletError) -> int:
    """Which of its attempts the next start is said to be."""
    residents, log = Residents(limit=4, mailbox_limit=4), ContextEventLog()
    nothing = cast("Any", None)
    events = Events(log, Here(name="a", host_id="a", mesh_id="m", code_version="1"))
    mailboxes = Mailboxes(residents=residents, store=nothing, events=events, checkpoints=nothing)
    supervision = Supervision(store=nothing, residents=residents, mailboxes=mailboxes, events=events)
    resident = residents.add(record("p"))
    supervision.not_begun(resident, str(error), error)
    assert resident.returning, "it is started again"
    await supervision.aclose()
    (crashed,) = log.events_since()
    return crashed.data["attempt"]


async def test_a_claim_that_is_not_to_be_had_says_so_by_its_kind() -> None:
    residents = Residents(limit=4, mailbox_limit=4)
    async with residents.claim("p", 1):
        with pytest.raises(ClaimedError, match="another operation on paglet p did not end within"):
            async with residents.claim("p", 0.01):
                raise AssertionError("two have it")
