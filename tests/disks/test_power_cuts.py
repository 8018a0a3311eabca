"""A power cut at any moment: what was acknowledged before it is there, whatever the disk made of the rest.

The disk records every write and sync in the order in which the kernel asked for them. Each image is what was synced,
and any part of what was not (`tests.disks.recording`).
"""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from paglets.persistence.records import PagletRecord, Phase
from paglets.persistence.store import Store
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from tests.disks.recording import Step, after_power_cut
from tests.faults.site import Site, eventually
from tests.persistence.builders import message, putting, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.disks.disk import FaultyDisk

NEVER = 1 << 60


@dataclass
class Written:
    """When a record was acknowledged, and when it was taken away, as positions of the disk."""

    at: int = NEVER
    deleting: int = NEVER
    deleted: int = NEVER


@dataclass
class Workload:
    """Several tasks that write states, records and messages together, and take some of them away."""

    disk: FaultyDisk
    written: dict[str, Written] = field(default_factory=dict[str, Written])

    async def run(self, store: Store, tasks: int, each: int) -> None:
        """All of it."""
        await asyncio.gather(*(self._work(store, task, each) for task in range(tasks)))

    async def _work(self, store: Store, task: int, count: int) -> None:
        for number in range(count):
            name = f"{task}-{number:03}"
            noted = self.written[name] = Written()
            staged = await store.stage_bytes(name.encode() * (30 if number % 5 else 50_000))

            def rule(txn: Any, name: str = name, staged: Any = staged) -> None:
                txn.put_paglet(record(name, state=staged.ref))
                txn.append_queued(name, message(name))

            await store.commit(rule, blobs=[staged])
            noted.at = self.disk.position()
            if number % 3 == 0:
                noted.deleting = self.disk.position()
                await store.commit(lambda txn, name=name: (txn.delete_paglet(name), txn.drop_queued(name)))
                noted.deleted = self.disk.position()

    def check(self, directory: Path, at: int) -> None:
        """What an image of a cut at that position holds."""
        if not (directory / "store").exists():
            assert not any(each.at <= at for each in self.written.values())
            return
        with Store(directory / "store") as store:
            assert store.damaged == []
            found = {one.agent_id: one for one in store.read_sync(lambda txn: txn.paglets())}
            for name, noted in self.written.items():
                if noted.at <= at < noted.deleting:
                    assert name in found, (
                        f"{name} was acknowledged at {noted.at}, and is gone after a cut at {at}"
                    )
                if noted.deleted <= at:
                    assert name not in found, f"{name} is back after a cut at {at}"
            for name, one in found.items():
                assert [each.message_id for each in store.read_sync(lambda txn, n=name: txn.queued(n))] == [
                    name
                ]
                assert one.state is not None
                reader = store.blob_reader(one.state)
                while reader.next():
                    pass
            counts = store.read_sync(lambda txn: txn.phase_counts())
            assert counts[Phase.ACTIVE] == len(found)
            store.commit_sync(putting("goes-on"))


def _cut_and_check(disk: FaultyDisk, tmp_path: Path, work: Workload, cuts: list[tuple[int, int]]) -> None:
    for at, seed in cuts:
        image = tmp_path / "image"
        disk.cut(at, seed, image)
        try:
            work.check(image, at)
        except Exception as error:
            raise AssertionError(f"power cut at {at}, seed {seed}: {error}") from error
        shutil.rmtree(image)


async def test_a_store_after_power_cuts_at_random_moments(disk: FaultyDisk, tmp_path: Path) -> None:
    work = Workload(disk)
    with Store(disk.root / "store") as store:
        await work.run(store, tasks=4, each=12)
    chance = random.Random(7)
    end = disk.position()
    cuts = [(chance.randint(0, end), seed) for seed in range(60)]
    await asyncio.to_thread(_cut_and_check, disk, tmp_path, work, cuts)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_store_after_a_power_cut_at_every_moment(disk: FaultyDisk, tmp_path: Path) -> None:
    work = Workload(disk)
    with Store(disk.root / "store") as store:
        await work.run(store, tasks=4, each=20)
    cuts = [(at, seed) for at in range(disk.position() + 1) for seed in range(2)]
    await asyncio.to_thread(_cut_and_check, disk, tmp_path, work, cuts)


def test_a_disk_that_says_synced_too_early_loses_what_was_acknowledged() -> None:
    """The control: without the syncs the same images do not hold what these tests look for."""
    steps = [Step("make", 1, name="f", other=2), Step("write", 2, 0, b"x" * 4096), Step("sync-names", 1)]
    seeds = [random.Random(seed) for seed in range(50)]
    kept = [bytes(after_power_cut(steps, chance).files[2]) == b"x" * 4096 for chance in seeds]
    assert not all(kept)
    steps.insert(2, Step("sync", 2))
    assert all(
        bytes(after_power_cut(steps, random.Random(seed)).files[2]) == b"x" * 4096 for seed in range(50)
    )


# --- real hosts ------------------------------------------------------------------------------------------


@dataclass
class Traveller:
    """What was acknowledged of one paglet, by position: the count it holds, and the host it is on."""

    agent_id: str
    saved: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    places: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    """From when on it may be there, from when on it is, and where."""


@pytest.fixture
def site_on_disk(disk: FaultyDisk) -> Iterator[Site]:
    site = Site(disk.root, ["a", "b"])
    try:
        site.start()
        yield site
    finally:
        site.close()


def _travel(site: Site, disk: FaultyDisk, travellers: int, rounds: int) -> list[Traveller]:
    """Save and move each of them to and fro, several at a time."""

    def one(number: int) -> Traveller:
        me = Traveller(site.create("a", count=0))
        here, count = "a", 0
        me.places.append((0, disk.position(), "a"))
        for step in range(1, rounds + 1):
            by = number * 100 + step
            count = site.tell(here, me.agent_id, "save", by=by)
            me.saved.append((disk.position(), count))
            there = "b" if here == "a" else "a"
            begun = disk.position()
            ticket = TransferTicket(site[there].url, timeout=20.0).to_wire()
            site.ask(
                here, api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=me.agent_id, ticket=ticket), 30.0
            )
            here = there
            me.places.append((begun, disk.position(), here))
        return me

    return [each.result(60) for each in [site.soon(lambda n=n: one(n)) for n in range(1, travellers + 1)]]


def _records(image: Path) -> dict[str, dict[str, tuple[PagletRecord, int]]]:
    """What each host's store holds: record and the count in its state, by id."""
    found: dict[str, dict[str, tuple[PagletRecord, int]]] = {}
    for name in ("a", "b"):
        found[name] = {}
        if not (image / name / "store").exists():
            continue
        with Store(image / name / "store") as store:
            assert store.damaged == []
            for one in store.read_sync(lambda txn: txn.paglets()):
                count = -1
                if one.state is not None:
                    reader, parts = store.blob_reader(one.state), list[bytes]()
                    while some := reader.next():
                        parts += some
                    count = pickle.loads(b"".join(parts))["count"]
                found[name][one.agent_id] = (one, count)
    return found


def _check_travellers(travellers: list[Traveller], image: Path, at: int) -> None:
    held = _records(image)
    for each in travellers:
        copies = {name: records[each.agent_id] for name, records in held.items() if each.agent_id in records}
        living = [name for name, (one, _) in copies.items() if one.phase in {Phase.ACTIVE, Phase.INACTIVE}]
        assert len(living) <= 1, f"doubled: {each.agent_id} on {living}"
        if each.places[0][1] > at:
            continue  # its creation was not acknowledged yet
        kept = living or [name for name, (one, _) in copies.items() if one.phase is Phase.PREPARED]
        assert kept, f"lost: {each.agent_id}: {copies}"
        acknowledged = max((count for position, count in each.saved if position <= at), default=0)
        assert copies[kept[0]][1] >= acknowledged, f"{each.agent_id} holds less than was saved"
        done = [place for place in each.places if place[1] <= at][-1]
        if all(begun > at for begun, _, _ in each.places[each.places.index(done) + 1 :]):
            assert living == [done[2]], f"{each.agent_id} had moved to {done[2]}, and is on {living}"


def test_hosts_after_power_cuts_of_the_whole_mesh(
    site_on_disk: Site, disk: FaultyDisk, tmp_path: Path
) -> None:
    travellers = _travel(site_on_disk, disk, travellers=4, rounds=3)
    chance, end = random.Random(3), disk.position()
    for seed in range(60):
        at = chance.randint(travellers[0].places[0][1], end)
        image = tmp_path / "image"
        disk.cut(at, seed, image)
        try:
            _check_travellers(travellers, image, at)
        except Exception as error:
            raise AssertionError(f"power cut at {at}, seed {seed}: {error}") from error
        shutil.rmtree(image)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_hosts_start_again_after_power_cuts_and_settle(
    site_on_disk: Site, disk: FaultyDisk, tmp_path: Path
) -> None:
    travellers = _travel(site_on_disk, disk, travellers=6, rounds=6)
    chance, end = random.Random(5), disk.position()
    for node in site_on_disk.nodes.values():
        node.end()  # there is one host of a key
    for seed in range(12):
        at = chance.randint(max(each.places[0][1] for each in travellers), end)
        image = tmp_path / f"image-{seed}"
        disk.cut(at, seed, image)
        _check_travellers(travellers, image, at)
        for points in image.glob("*.points"):
            shutil.rmtree(points)
        again = Site(image, ["a", "b"])
        try:
            again.start()
            for each in travellers:
                # A host can be called before it has taken up what was on its way.
                eventually(lambda each=each, again=again: again.copies(each.agent_id))
                copy = again.settled_as("active", each.agent_id)
                acknowledged = max((count for position, count in each.saved if position <= at), default=0)
                held = again.tell(copy.host, each.agent_id, "add", by=0)
                assert held >= acknowledged, f"power cut at {at}, seed {seed}: {each} holds {held}"
        finally:
            again.close()


def test_the_disk_is_where_the_hosts_are(site_on_disk: Site, disk: FaultyDisk) -> None:
    before = disk.position()
    site_on_disk.create("a", count=1)
    assert any(before < position for position in disk.synced())
    assert os.path.ismount(disk.root)
