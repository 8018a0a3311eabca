"""A host that holds many paglets: parked ones are written into its store, active ones have a process each."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from paglets.persistence.records import Phase
from paglets.persistence.store import Store
from paglets.remote import api

if TYPE_CHECKING:
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from tests.bench.site import Site

_AT_ONCE = 5000


def park_many(data_dir: Path, count: int) -> None:
    """Write so many parked paglets beside the one that is parked there; its host has ended. They can be woken."""
    (path,) = data_dir.rglob("store.lmdb")
    with Store(path.parent) as store:
        found = store.read_sync(lambda tx: tx.paglets())
        model = next(each for each in found if each.phase is Phase.INACTIVE and not each.host_scoped)

        def write(tx: LmdbTransaction, first: int) -> None:
            for number in range(first, min(first + _AT_ONCE, count)):
                agent_id = f"{model.birth[:12].lower()}-crowd-{number:07d}"
                tx.put_paglet(msgspec.structs.replace(model, agent_id=agent_id, resume=False))

        for first in range(0, count, _AT_ONCE):
            store.commit_sync(lambda tx, first=first: write(tx, first))


def page_of(site: Site, name: str, state: str) -> int:
    """Ask for a page of a list; how many are on it."""
    params = api.PagletsListParams(state=state, limit=100)
    return len(json.loads(site.client.call(site.addresses[name], api.PAGLETS_LIST, params))["agents"])


def lowest(times: int, work: object) -> float:
    """The quickest of so many calls, in milliseconds: what the work takes when nothing else is in its way."""
    assert callable(work)
    best = float("inf")
    for _ in range(times):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best * 1e3


def own_memory_mib(pid: int) -> float:
    """Anonymous memory of one process: without the store, which is a file, mapped."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss_Anon")) / 1024
