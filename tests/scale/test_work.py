"""What is done again and again takes as many steps on a full host as on an empty one. Steps are counted."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.read_transaction import ReadTransaction
from paglets.persistence.records import PagletRecord, Phase
from paglets.persistence.store import Store
from paglets.remote import mesh_service
from paglets.remote.members import HostFacts
from paglets.remote.membership import MembershipSettings
from paglets.remote.mesh_service import MeshService
from paglets.remote.mesh_view import MeshView, SeenHost
from paglets.runtime.forgetting import Forgetter
from paglets.runtime.here import Here
from paglets.runtime.lowest_open import LowestOpen
from paglets.runtime.outbox.floors import Floors
from paglets.runtime.residents import Residents
from paglets.runtime.transfers.open_ids import OpenTransfers
from paglets.runtime.views import Views

if TYPE_CHECKING:
    from pathlib import Path

MANY = 3000


class Looked(str):
    """A host id that counts how often it is compared with another."""

    __slots__ = ("times",)
    times: int

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.times = 0
        return made

    def __eq__(self, other: object) -> bool:
        self.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("open_elsewhere", [1, MANY])
def test_the_floor_of_an_envelope_costs_nothing_for_the_transfers_that_are_open(open_elsewhere: int) -> None:
    ids = OpenTransfers("me", 1)
    ids.refill(range(1, MANY + 10))
    for _ in range(open_elsewhere):
        ids.take("away")
    wanted = Looked("there")
    assert ids.floor(wanted) == open_elsewhere + 1
    assert wanted.times <= 1


@pytest.mark.parametrize("waiting", [1, MANY])
def test_the_floor_of_a_message_costs_nothing_for_those_that_wait_in_the_outbox(waiting: int) -> None:
    floors = Floors()
    for position in range(waiting):
        floors.numbering(position, "away")
        floors.numbered(position, "away", position + 1)
    wanted = Looked("there")
    assert floors.floor(wanted) == waiting + 1
    assert wanted.times <= 1
    assert floors.floor("away") == 1


class Number(int):
    """A number that counts comparisons by size."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Number.compared += 1
        return int.__lt__(self, other)


def test_the_lowest_is_right_and_does_not_look_at_the_others() -> None:
    rng = random.Random(5)
    lowest = LowestOpen()
    open_numbers: list[int] = []
    for _ in range(MANY):
        if open_numbers and rng.random() < 0.5:
            lowest.discard("there", open_numbers.pop(rng.randrange(len(open_numbers))))
        else:
            open_numbers.append(rng.randrange(50))
            lowest.add("there", Number(open_numbers[-1]))
        assert lowest.lowest("there") == min(open_numbers, default=None)
    assert lowest.lowest("elsewhere") is None
    lowest = LowestOpen(("there", Number(number)) for number in range(MANY))
    Number.compared = 0
    for _ in range(100):
        assert lowest.lowest("there") == 0
    assert Number.compared == 0


def test_numbers_that_are_settled_are_not_kept_behind_an_open_one() -> None:
    numbers = [Number(number) for number in range(MANY)]
    lowest = LowestOpen([("there", numbers[0])])
    for number in numbers[1:]:
        lowest.add("there", number)
        lowest.discard("there", number)
    held = [sys.getrefcount(number) for number in numbers[1:]]
    assert sum(count > min(held) for count in held) <= 20
    assert lowest.lowest("there") == 0


async def test_heartbeats_do_not_draw_the_mesh_that_nobody_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[MeshView] = []
    genuine = mesh_service.draw

    def draw(*args: Any) -> MeshView:
        drawn.append(genuine(*args))
        return drawn[-1]

    class Nobody:
        async def call(self, *_args: Any, **_options: Any) -> bytes:
            raise OSError("nobody is there")

    monkeypatch.setattr(mesh_service, "draw", draw)
    facts = HostFacts(host_id="me", name="me", url="https://127.0.0.1:1", code_version="1")
    service = MeshService(Nobody(), lambda: facts, MembershipSettings())
    for number in range(20):
        await service.seed(f"https://127.0.0.1:{1000 + number}")
    assert drawn == []
    assert len(service.view.seeds) == 20
    assert service.view is service.view
    assert len(drawn) == 1
    await service.stop()


def at(host_id: str, *urls: str) -> SeenHost:
    facts = HostFacts(host_id=host_id, name="a host", url=urls[0], code_version="1")
    return SeenHost(facts, urls[0], urls, online=True, last_seen=0.0)


def test_who_has_a_key_or_a_url_is_looked_up_without_a_look_at_the_others() -> None:
    seen = [at(f"id-{n}", f"https://{n}", f"https://also-{n}") for n in range(50)]
    stranger = at("", "https://7")
    view = MeshView(seen[0].facts, (*seen, stranger))
    assert view.by_key["id-31"] is seen[31]
    assert "" not in view.by_key
    assert list(view.by_url["https://also-3"]) == [seen[3]]
    assert list(view.by_url["https://7"]) == [seen[7], stranger]


def parked(number: int, phase: Phase) -> PagletRecord:
    return PagletRecord(f"p-{number:06d}", "birth", phase, Incarnation(), "m:C", "m:S", changed_at=1000.0)


async def test_a_page_of_a_list_does_not_read_through_all_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        await store.commit(
            lambda tx: [tx.put_paglet(parked(number, Phase.TOMBSTONE)) for number in range(5999)]
        )
        await store.commit(lambda tx: tx.put_paglet(parked(5999, Phase.INACTIVE)))
        read = 0
        genuine = ReadTransaction.paglets

        def paglets(txn: ReadTransaction, after: str = "", limit: int = 1000) -> list[PagletRecord]:
            nonlocal read
            found = genuine(txn, after, limit)
            read += len(found)
            return found

        monkeypatch.setattr(ReadTransaction, "paglets", paglets)
        views = Views(residents=Residents(10, 10), store=store, here=Here("here", "me", "", "1"))
        page = await views.list("inactive", 10, "")
        assert read <= 4000
        assert page["agents"] == []
        following = await views.list("inactive", 10, page["cursor"])
        assert [each["agent_id"] for each in following["agents"]] == ["p-005999"]
        assert "cursor" not in following


async def test_what_is_forgotten_shares_its_commits(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        await store.commit(lambda tx: [tx.put_paglet(parked(n, Phase.TOMBSTONE)) for n in range(2000)])
        before = store.commit_number
        assert await Forgetter(store, clock=lambda: 1e9).sweep() == 2000
        assert store.commit_number - before <= 20


def test_transfers_that_were_open_before_count() -> None:
    ids = OpenTransfers("me", 9, [("there", TransferId("me", 4)), ("there", TransferId("me", 2))])
    told: list[str] = []
    ids.on_settled = told.append
    assert ids.floor("there") == 2
    ids.settle(TransferId("me", 2))
    ids.settle(TransferId("me", 2))
    assert (ids.floor("there"), told) == (4, ["there"])
