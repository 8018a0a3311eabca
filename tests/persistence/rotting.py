"""Flips bits of a store's file, one at a time, and opens it: ``python -m ... DIR KIND SEED COUNT``.

Each opening happens in a process of its own, so that what takes a process down is seen as that. What may come of a
flip: nothing at all, an error when the store is opened, or damage that the store reports, with everything else as it
was. What may not: a process that dies, an error of another kind, or anything that is different or gone without a
report. Prints how often each came as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from paglets.persistence.errors import StoreDamagedError, StoreError
from paglets.persistence.store import Store
from tests.persistence.builders import message, putting, record

PAGE = 4096
_OPENING_SECONDS = 20


async def _fill(directory: Path) -> None:
    with Store(directory) as store:
        for number in range(60):
            name = f"p{number:03}"
            staged = await store.stage_bytes(os.urandom(9000 if number % 9 == 0 else 200))

            def rule(txn: Any, name: str = name, staged: Any = staged) -> None:
                txn.put_paglet(record(name, state=staged.ref))
                txn.append_queued(name, message(f"to {name}"))

            await store.commit(rule, blobs=[staged])
        staged = await store.stage_bytes(os.urandom(600_000))
        await store.commit(putting("big", state=staged.ref), blobs=[staged])
        for number in range(0, 60, 3):
            await store.commit(lambda txn, name=f"p{number:03}": txn.delete_paglet(name))
            await store.commit(lambda txn, name=f"p{number:03}": txn.drop_queued(name))


def _content(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in store.read_sync(lambda txn: txn.paglets()):
        assert one.state is not None
        try:
            body = b"".join(_blob(store, one.state))
        except StoreDamagedError:
            body = None
        waiting = store.read_sync(lambda txn, name=one.agent_id: txn.queued(name))
        found[one.agent_id] = (one, body, waiting)
    return found


def _blob(store: Store, ref: Any) -> list[bytes]:
    reader, parts = store.blob_reader(ref), list[bytes]()
    while some := reader.next():
        parts += some
    return parts


def _look(directory: Path, sound: dict[str, Any]) -> str:
    """What an opening shows, in a word or, if it must not be, in a sentence."""
    try:
        with Store(directory) as store:
            try:
                found = _content(store)
                store.commit_sync(putting("another"))
            except StoreDamagedError:
                return "reported" if store.damaged else "an error, and no report"
            different = [name for name in {*sound, *found} if sound.get(name) != found.get(name)]
            if not different:
                return "reported" if store.damaged else "as it was"
            if store.damaged and set(found) <= set(sound):
                return "reported"
            return f"different without a report: {sorted(different)[:5]}"
    except StoreError:
        return "refused"


def _in_a_process(directory: Path, sound: dict[str, Any]) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "it broke"
        try:
            os.close(reading)
            signal.alarm(_OPENING_SECONDS)
            said = _look(directory, sound)
        except BaseException as error:  # noqa: BLE001 - it is what this looks for
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode()[:2000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def _place(kind: str, size: int, chance: random.Random) -> int:
    if kind == "head":
        return chance.randrange(2) * PAGE + chance.randrange(16 + 136)
    if kind == "page-head":
        return chance.randrange(size // PAGE) * PAGE + chance.randrange(64)
    return chance.randrange(size)


def main(directory: Path, kind: str, seed: int, count: int) -> None:
    """Flip, look, count."""
    logging.disable(logging.CRITICAL)
    sound_store = directory / "sound"
    asyncio.run(_fill(sound_store))
    content = (sound_store / "store.lmdb").read_bytes()
    reading, writing = os.pipe()
    if os.fork() == 0:  # the parent stays without threads, for the forks to come
        with Store(sound_store) as store, os.fdopen(writing, "wb") as pipe:
            pickle.dump(_content(store), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sound = pickle.load(pipe)
    os.wait()
    rotten = directory / "rotten"
    rotten.mkdir()
    chance, outcomes, examples = random.Random(seed), Counter[str](), dict[str, list[int]]()
    for _ in range(count):
        place, bit = _place(kind, len(content), chance), chance.randrange(8)
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        (rotten / "store.lmdb").write_bytes(changed)
        for name in ("store.lock", "store.lmdb-lock"):
            (rotten / name).unlink(missing_ok=True)
        outcome = _in_a_process(rotten, sound)
        outcomes[outcome] += 1
        examples.setdefault(outcome, [place // PAGE, place % PAGE, bit])
    json.dump({"outcomes": outcomes, "examples": examples}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
