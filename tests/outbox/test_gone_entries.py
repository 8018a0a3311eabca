"""A lane goes on behind a message that is not in the outbox any more.

Kept in the very moment in which the host takes up what waits (`restore --accept`), a message could stand in its lane
twice: the second time it is gone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from paglets.persistence import outbox_rules
from paglets.persistence.outbox_records import OutboxEntry
from paglets.persistence.store import Store
from paglets.remote.api import MessageParams
from paglets.runtime.outbox.outbox import Outbox
from tests.children.support import until

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = MessageParams(agent_id="agent", kind="k", message_id="m", message_type=2)


async def test_what_is_gone_does_not_stand_in_the_way(tmp_path: Path) -> None:
    text = msgspec.json.encode(MESSAGE)
    entry = OutboxEntry("", "agent", "m", "k", text, "https://h:1", time.time(), 600.0, "HOST")
    with Store(tmp_path) as store:
        nobody = cast("Any", None)  # nothing is left to be sent, and nothing to be told
        outbox = Outbox(store=store, peers=nobody, events=nobody, lifetime=600.0)
        kept = await store.commit(lambda tx: outbox_rules.keep(tx, entry))
        await store.commit(lambda tx: outbox_rules.settle(tx, kept.position))
        for _ in range(2):
            outbox.kept(kept)
        assert outbox.is_waiting(MESSAGE)
        await until(lambda: not outbox.is_waiting(MESSAGE))
        await outbox.aclose()
