"""A host killed at any moment: what it was told is durable is there, and the rest is whole or absent."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from paglets.persistence.records import Phase
from paglets.persistence.store import CommitStep, Store
from tests.persistence.builders import putting

WRITER = """
import asyncio, os, sys
from pathlib import Path
from paglets.persistence.store import CommitStep, Store
from tests.persistence.builders import message, record

stop_at, stop_step = int(sys.argv[2]), sys.argv[3]
commits = 0

def fault(step):
    global commits
    commits += step is CommitStep.BEFORE
    if commits == stop_at and step == stop_step:
        os.kill(os.getpid(), 9)

store = Store(Path(sys.argv[1]), fault=fault)

async def one(task, number):
    # A state, a record and a message belong together; every third is replaced or deleted later.
    name = f"{task}-{number:05}"
    staged = await store.stage_bytes(name.encode() * (20 if number % 4 else 40_000))
    def rule(txn):
        txn.put_paglet(record(name, state=staged.ref))
        txn.append_queued(name, message(name))
    await store.commit(rule, blobs=[staged])
    if number % 3 == 0:
        await store.commit(lambda txn: (txn.delete_paglet(name), txn.drop_queued(name)))
        print("deleted", name, flush=True)
    else:
        print("written", name, flush=True)

async def work(task):
    for number in range(100_000):
        await one(task, number)

async def main():
    await asyncio.gather(*(work(task) for task in range(6)))

print("ready", store.commit_number, flush=True)
asyncio.run(main())
"""


def _run_until_killed(directory: Path, *, after: float | None, stop: tuple[int, str]) -> list[str]:
    """What the writer had been told is durable."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), str(stop[0]), stop[1]],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline().startswith("ready")
        timer = threading.Timer(20 if after is None else after, process.send_signal, [signal.SIGKILL])
        timer.start()
        lines = process.stdout.read().splitlines(keepends=True)
        timer.cancel()
        timer.join()
        assert process.wait() == -signal.SIGKILL
    return [line.strip() for line in lines if line.endswith("\n")]


def _check(directory: Path, acknowledged: list[str]) -> None:
    with Store(directory) as store:
        assert store.damaged == []
        records = {one.agent_id: one for one in store.read_sync(lambda txn: txn.paglets(limit=1_000_000))}
        for line in acknowledged:
            kind, name = line.split()
            assert (name in records) == (kind == "written"), line
        for name, one in records.items():
            waiting = store.read_sync(lambda txn, name=name: txn.queued(name))
            assert [each.message_id for each in waiting] == [name]
            assert one.state is not None
            assert store.read_sync(lambda txn, one=one: one.state is not None and txn.has_blob(one.state))
        assert store.read_sync(lambda txn: txn.phase_counts())[Phase.ACTIVE] == len(records)
        assert store.read_sync(lambda txn: txn.blob_count()) == len(records)
        number = store.commit_number
        store.commit_sync(putting("after"))
        assert store.commit_number > number
        store.commit_sync(lambda txn: txn.delete_paglet("after"))


def test_what_was_acknowledged_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    for after in (0.05, 0.2, 0.4):
        _check(tmp_path, _run_until_killed(tmp_path, after=after, stop=(-1, "")))


@pytest.mark.slow
def test_what_was_acknowledged_survives_many_kills_of_one_store(tmp_path: Path) -> None:
    moments = random.Random(11)
    for _ in range(20):
        _check(tmp_path, _run_until_killed(tmp_path, after=moments.uniform(0.01, 0.6), stop=(-1, "")))


@pytest.mark.parametrize("step", list(CommitStep))
@pytest.mark.parametrize("commit", [1, 7])
def test_a_kill_right_before_and_right_after_the_sync_leaves_whole_writes(
    tmp_path: Path, commit: int, step: CommitStep
) -> None:
    _check(tmp_path, _run_until_killed(tmp_path, after=None, stop=(commit, step.value)))
