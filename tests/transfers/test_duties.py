"""What an adoption left to do is begun as soon as it is durable, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.adoption_records import Notice, Whereabouts
from paglets.persistence.journal import meeting
from paglets.persistence.records import PeerRecord
from paglets.remote import api
from paglets.runtime.adoption.duties import Duties
from paglets.runtime.here import Here
from paglets.testing.points import Points
from paglets.testing.store import FaultyStore
from tests.wire.site import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HERE, LOST, OTHER = "here", "lost", "other"
HIGHER = Whereabouts(Incarnation(Lineage(1, HERE), 3), HERE)
NOTICE = Notice("p", HERE, LOST, "", "", HIGHER)


class Mesh:
    """Hosts that are told: the first that is asked has lost track of the paglet, the others never answer."""

    others: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.view = self
        self.told: list[str] = []

    async def call(self, host_id: str, *_: Any, **__: Any) -> bytes:
        self.told.append(host_id)
        if self.told == [LOST]:
            return msgspec.json.encode(api.NoticeTaken(lost_track=True))
        return await asyncio.get_running_loop().create_future()


@pytest.fixture
def points(tmp_path: Path) -> Points:
    return Points(tmp_path / "points")


@pytest.fixture
async def store(tmp_path: Path, points: Points) -> AsyncIterator[FaultyStore]:
    with FaultyStore(tmp_path / "store", points) as store:
        await store.commit(lambda tx: tx.put_peer(PeerRecord(OTHER, "s", 1)))
        await store.commit(lambda tx: meeting.owe(tx, NOTICE))
        yield store
        points.clear()


def duties_of(store: FaultyStore, mesh: Mesh) -> Duties:
    return Duties(
        store=store,
        mesh=cast("Any", mesh),
        peers=cast("Any", mesh),
        is_revoked=lambda _: False,
        asker=cast("Any", None),
        open_transfers=cast("Any", None),
        events=cast("Any", None),
        here=Here("here", HERE, "mesh", "0"),
    )


async def test_a_newer_notice_does_not_hold_up_what_others_are_owed(
    store: FaultyStore, points: Points
) -> None:
    mesh = Mesh()
    duties = duties_of(store, mesh)
    points.arm("after:commit")
    duties.tell(NOTICE)
    await until(
        lambda: points.is_reached("after:commit")
    )  # what everybody is owed is durable, and nobody knows
    duties.tell(msgspec.structs.replace(NOTICE, number=1))
    points.release("after:commit")
    await until(lambda: set(mesh.told) == {LOST, OTHER})
    assert {each["peer"] for each in duties.notices()} == {LOST, OTHER}
    await duties.aclose()


async def test_nothing_is_begun_once_it_is_closed(store: FaultyStore, points: Points) -> None:
    mesh = Mesh()
    duties = duties_of(store, mesh)
    points.arm("after:commit")
    duties.tell(NOTICE)
    await until(lambda: points.is_reached("after:commit"))
    await duties.aclose()
    points.release("after:commit")
    await until(lambda: not duties.notices())
    owed = await store.read(lambda tx: tx.notices())
    assert [each.target_id for each in owed] == [OTHER]
    assert mesh.told == [LOST]
