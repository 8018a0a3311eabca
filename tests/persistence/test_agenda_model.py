"""The agenda says what a look through all records would say, after any sequence of writes and restarts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.incarnation import Incarnation
from paglets.persistence.agenda import Matter
from paglets.persistence.records import Forward, PagletRecord, Phase, QueuedDispatch
from paglets.persistence.store import Store
from paglets.runtime.wakeups import wake_time
from tests.persistence.builders import message, record

if TYPE_CHECKING:
    from collections.abc import Callable

# Few ids, so that writes meet; one is a prefix of the other.
AGENTS = st.sampled_from(["a", "ab"])
MESSAGES = st.sampled_from(["m1", "m2"])
TIMES = st.sampled_from([0.0, 1.0, 1.5, 1e9])
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
QUEUED = QueuedDispatch("k", {}, "host", "https://h:1", "h", Phase.ACTIVE, since=1.0, lifetime=1.0)
GONE = {Phase.DEPARTED, Phase.TOMBSTONE}


@st.composite
def records(draw: st.DrawFn) -> PagletRecord:
    phase = draw(st.sampled_from([*Phase, Phase.DEPARTED, Phase.INACTIVE]))
    more: dict[str, Any] = {"changed_at": draw(TIMES)}
    if phase is Phase.INACTIVE:
        more["resume"] = draw(st.booleans())
        policy = DeactivationPolicy(
            activate_on_startup=draw(st.booleans()), activate_at=draw(st.none() | TIMES)
        )
        more["policy"] = draw(st.sampled_from([policy.to_wire(), {}]))
        more["queued"] = draw(st.sampled_from([None, None, QUEUED]))
    elif phase is Phase.DEPARTED:
        more["forward"] = Forward("host", "https://h:1", "h", Incarnation(epoch=1), draw(TIMES))
    return msgspec.structs.replace(record(draw(AGENTS), phase), **more)


def comes_back(one: PagletRecord) -> bool:
    woken = DeactivationPolicy.from_wire(one.policy).activate_on_startup
    return one.phase is Phase.INACTIVE and one.queued is None and (one.resume or woken)


MATTERS: dict[Matter, Callable[[PagletRecord, bool], bool]] = {
    Matter.RUNNING: lambda one, _: one.phase is Phase.ACTIVE,
    Matter.MOVING: lambda one, _: one.phase is Phase.PREPARED,
    Matter.STARTUP: lambda one, _: comes_back(one),
    Matter.ALARM: lambda one, _: wake_time(one) is not None and not comes_back(one),
    Matter.QUEUED: lambda one, _: one.queued is not None,
    Matter.ONWARD: lambda one, messages: one.phase is Phase.DEPARTED and messages,
}


class AgendaMachine(RuleBasedStateMachine):
    """Writes as the journal's rules do: several to a transaction, some of which fail."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.store = Store(self.directory)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    @rule(written=st.lists(records(), min_size=1, max_size=3), fails=st.sampled_from([False, False, True]))
    def put(self, written: list[PagletRecord], fails: bool) -> None:
        def put_all(txn: Any) -> None:
            for one in written:
                txn.put_paglet(one)
            if fails:
                raise ZeroDivisionError

        try:
            self.store.commit_sync(put_all)
        except ZeroDivisionError:
            assert fails

    @rule(agent=AGENTS)
    def delete(self, agent: str) -> None:
        self.store.commit_sync(lambda txn: txn.delete_paglet(agent))

    @rule(agent=AGENTS, message_id=MESSAGES)
    def queue(self, agent: str, message_id: str) -> None:
        self.store.commit_sync(lambda txn: txn.append_queued(agent, message(message_id)))

    @rule(agent=AGENTS, message_id=st.none() | MESSAGES)
    def take(self, agent: str, message_id: str | None) -> None:
        self.store.commit_sync(lambda txn: txn.drop_queued(agent, message_id))

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.directory)

    @invariant()
    def it_says_what_the_records_say(self) -> None:
        read = self.store.read_sync
        found = read(lambda txn: txn.paglets())
        waiting = {one.agent_id for one in found if read(lambda txn, one=one: txn.queued(one.agent_id))}
        for matter, holds in MATTERS.items():
            expected = [one.agent_id for one in found if holds(one, one.agent_id in waiting)]
            assert read(lambda txn, matter=matter: txn.agenda(matter)) == expected, matter
        since = {
            one.agent_id: one.forward.since if one.forward is not None else one.changed_at
            for one in found
            if one.phase in GONE
        }
        for before in (0.0, 1.0, 1.25, 2e9):
            gone = read(lambda txn, before=before: txn.gone(before))
            assert sorted(gone) == sorted(one for one, at in since.items() if at < before)
            assert [since[one] for one in gone] == sorted(since[one] for one in gone)


TestAgenda = AgendaMachine.TestCase
TestAgenda.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
