"""The store against plain dictionaries: any sequence of writes, failures and restarts gives the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from paglets.persistence.blob_table import CHUNK_BYTES
from paglets.persistence.records import BlobRef, PagletRecord, Phase
from paglets.persistence.store import Store
from tests.persistence.builders import message, record

if TYPE_CHECKING:
    from paglets.persistence.blobs import StagedBlob
    from paglets.persistence.lmdb_transaction import LmdbTransaction

# Few names and contents, so that they meet: ids that are prefixes of each other, blobs that are shared.
AGENTS = st.sampled_from(["a", "ab", "b", "ä"])
BLOBS = {"empty": b"", "one": b"one", "two": b"two", "large": bytes(CHUNK_BYTES * 17 + 1)}
CONTENTS = st.sampled_from(list(BLOBS))
MESSAGES = st.sampled_from(["m1", "m2", "m3"])
PHASES = st.sampled_from(list(Phase))


# Thousands of commits: where there is a file system in memory, they need not wait for a disk.
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class RefusedError(Exception):
    """What a rule of the test raises."""


@dataclass
class Model:
    """What the store should hold."""

    paglets: dict[str, PagletRecord] = field(default_factory=dict[str, PagletRecord])
    queues: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def blobs(self) -> set[BlobRef]:
        return {one.state for one in self.paglets.values() if one.state is not None}


class StoreMachine(RuleBasedStateMachine):
    """Runs each step on both."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.store = Store(self.directory)
        self.model = Model()

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    def _stage(self, content: str) -> StagedBlob:
        return asyncio.run(self.store.stage_bytes(BLOBS[content]))

    @rule(agent=AGENTS, phase=PHASES, content=st.none() | CONTENTS)
    def put(self, agent: str, phase: Phase, content: str | None) -> None:
        if content is None:
            written = record(agent, phase)
            self.store.commit_sync(lambda txn: txn.put_paglet(written))
        else:
            staged = self._stage(content)
            assert staged.ref == BlobRef(sha256(BLOBS[content]).digest(), len(BLOBS[content]))
            written = record(agent, phase, state=staged.ref)
            self.store.commit_sync(lambda txn: txn.put_paglet(written), blobs=[staged])
        self.model.paglets[agent] = written

    @rule(agent=AGENTS)
    def delete(self, agent: str) -> None:
        self.store.commit_sync(lambda txn: txn.delete_paglet(agent))
        self.model.paglets.pop(agent, None)

    @rule(agents=st.lists(AGENTS, min_size=1), content=CONTENTS)
    def write_and_raise(self, agents: list[str], content: str) -> None:
        staged = self._stage(content)

        def refused(txn: LmdbTransaction) -> None:
            for agent in agents:
                txn.put_paglet(record(agent, Phase.TOMBSTONE, state=staged.ref))
                txn.append_queued(agent, message("never"))
                txn.drop_queued(agent)
                txn.delete_paglet(agent)
            raise RefusedError

        try:
            self.store.commit_sync(refused, blobs=[staged])
        except RefusedError:
            return
        raise AssertionError("the rule's error did not reach its caller")

    @rule(agent=AGENTS, message_id=MESSAGES)
    def queue(self, agent: str, message_id: str) -> None:
        waiting = self.model.queues.setdefault(agent, [])
        new = self.store.commit_sync(lambda txn: txn.append_queued(agent, message(message_id)))
        assert new == (message_id not in waiting)
        if new:
            waiting.append(message_id)

    @rule(agent=AGENTS, message_id=st.none() | MESSAGES)
    def take(self, agent: str, message_id: str | None) -> None:
        self.store.commit_sync(lambda txn: txn.drop_queued(agent, message_id))
        waiting = self.model.queues.get(agent, [])
        self.model.queues[agent] = [one for one in waiting if message_id is not None and one != message_id]

    @rule()
    def restart(self) -> None:
        number = self.store.commit_number
        self.store.close()
        self.store = Store(self.directory)
        assert self.store.commit_number >= number

    @invariant()
    def they_agree(self) -> None:
        expected = [self.model.paglets[agent] for agent in sorted(self.model.paglets, key=str.encode)]
        assert self.store.read_sync(lambda txn: txn.paglets()) == expected
        counts = Counter(one.phase for one in expected)
        assert self.store.read_sync(lambda txn: txn.phase_counts()) == {
            phase: counts[phase] for phase in Phase
        }
        blobs = self.model.blobs()
        assert self.store.read_sync(lambda txn: txn.blob_count()) == len(blobs)
        assert all(self.store.read_sync(lambda txn, ref=ref: txn.has_blob(ref)) for ref in blobs)
        for agent, waiting in self.model.queues.items():
            queued = self.store.read_sync(lambda txn, agent=agent: txn.queued(agent))
            assert [one.message_id for one in queued] == waiting
            state = self.store.read_sync(lambda txn, agent=agent: txn.queue_state(agent))
            assert (state.messages, state.size) == (len(waiting), 2 * len(waiting))


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
