"""What a host holds of its machine, seen from outside: descriptors, threads, processes, memory, store pages."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psutil

PAGE_BYTES = 4096


@dataclass(frozen=True)
class StoreHoldings:
    """Of the store of one host."""

    pages: int
    """Pages that hold something."""
    blobs: int
    """Blobs, chunks and uploads."""
    notes: int
    """Records of paglets, those that are gone included."""


@dataclass(frozen=True)
class Holdings(StoreHoldings):
    """Of one host and all processes that belong to it."""

    descriptors: int
    threads: int
    processes: int
    memory_kib: int
    """Anonymous memory of all processes, proportional: all but files, of which the store is one, mapped."""
    own_kib: int
    """That of the host's own process."""

    def __str__(self) -> str:
        return ", ".join(f"{each.name} {getattr(self, each.name)}" for each in fields(self))


def holdings(family: Sequence[psutil.Process], data_dir: Path) -> Holdings:
    """Look at a host that has nothing to do. ``family``: its processes, its own first."""
    store = holdings_of_store(data_dir)
    return Holdings(
        descriptors=sum(_descriptors(each) for each in family),
        threads=sum(each.num_threads() for each in family),
        processes=len(family),
        memory_kib=sum(_anonymous_kib(each.pid) for each in family),
        own_kib=_anonymous_kib(family[0].pid),
        **asdict(store),
    )


def _descriptors(process: psutil.Process) -> int:
    return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())


def _anonymous_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss_Anon":
            return int(rest.split()[0])
    raise AssertionError("this kernel does not tell anonymous memory apart (5.9 and later do)")


def holdings_of_store(data_dir: Path) -> StoreHoldings:
    """Read beside the host, as LMDB lets other processes."""
    (path,) = data_dir.rglob("store.lmdb")
    with contextlib.closing(
        lmdb.open(str(path), subdir=False, readonly=True, create=False, max_dbs=64)
    ) as environment:
        with environment.begin() as txn:
            names = [bytes(key) for key in txn.cursor().iternext(keys=True, values=False)]
        tables = {name: environment.open_db(name, create=False) for name in names}
        with environment.begin() as txn:
            stats = {name: txn.stat(table) for name, table in tables.items()}
    return StoreHoldings(
        sum(each["branch_pages"] + each["leaf_pages"] + each["overflow_pages"] for each in stats.values()),
        sum(stats[name]["entries"] for name in (b"blobs", b"chunks", b"uploads")),
        stats[b"paglets"]["entries"],
    )
