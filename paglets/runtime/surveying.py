"""What other hosts say of paglets, put together by the host of a restored store: which is the latest life of each.

Pure, so that its explorations run what the host runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from paglets.persistence.journal.meeting import last_known
from paglets.persistence.records import MoveKind, PagletRecord, Phase
from paglets.persistence.restoring import OpenTransfer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from paglets.core.incarnation import Incarnation, Lineage
    from paglets.persistence.adoption_records import AbandonedTransfer


class Place(Protocol):
    """Where a paglet is, in which life."""

    @property
    def agent_id(self) -> str:
        """Which paglet."""
        ...

    @property
    def incarnation(self) -> Incarnation:
        """The life in which it is there."""
        ...


PlaceT = TypeVar("PlaceT", bound=Place)


class Found(Generic[PlaceT]):
    """Paglets that were found, each in the latest life of each of its lineages."""

    def __init__(self) -> None:
        self._places: dict[str, dict[Lineage, PlaceT]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def add(self, place: PlaceT) -> None:
        """A host says that it has a paglet, or where that went."""
        lineages = self._places.setdefault(place.agent_id, {})
        known = lineages.get(place.incarnation.lineage)
        if known is None or known.incarnation < place.incarnation:
            lineages[place.incarnation.lineage] = place

    def latest(self, agent_id: str) -> PlaceT | None:
        """Where a paglet is in the latest life that anybody tells of."""
        lineages = self._places.get(agent_id)
        return max(lineages.values(), key=_life) if lineages else None

    def lineages(self, agent_id: str) -> list[PlaceT]:
        """Where a paglet is in the latest life of each of its lineages; at most one of these is the one that counts."""
        return list(self._places.get(agent_id, {}).values())

    def of_transfer(self, lost: OpenTransfer) -> PlaceT | None:
        """Where a paglet is in the life that the transfer was to bring, or in a later one; None: nowhere.

        Of its own lineage, if it is there in that: if it was adopted, too, the lower copy has still to be told, and
        that news takes the way that it went.
        """
        own = self._places.get(lost.agent_id, {}).get(lost.incarnation.lineage)
        place = own if own is not None and own.incarnation >= lost.incarnation else self.latest(lost.agent_id)
        return place if place is not None and place.incarnation >= lost.incarnation else None


_REPLACED = {Phase.INACTIVE, Phase.PREPARED, Phase.DEPARTED}


def _life(place: Place) -> Incarnation:
    return place.incarnation


def may_wake(record: PagletRecord) -> bool:
    """Whether a restored host would set it going when its store is accepted."""
    if record.host_scoped or record.phase not in {Phase.INACTIVE, Phase.PREPARED}:
        return False
    return record.outgoing is None or record.outgoing.kind is not MoveKind.CLONE


def gives_way(record: PagletRecord, place: Place | None) -> bool:
    """Whether a copy, or a forward, of a restored store is older than where its paglet was found.

    A clone on its way from there has arrived, then.
    """
    if place is None or record.host_scoped or record.phase not in _REPLACED:
        return False
    return place.incarnation > last_known(record)


def open_to(
    host_id: str, records: Iterable[PagletRecord], abandoned: Iterable[AbandonedTransfer]
) -> list[OpenTransfer]:
    """The transfers to a host that these hold open: those that it may have decided on, for all that is known here.

    What exists in memory only is none: the end of its envelope has not left.
    """
    found = [
        OpenTransfer(
            record.outgoing.transfer_id,
            record.agent_id,
            record.birth,
            record.outgoing.incarnation,
            record.class_name,
            record.state_class_name,
        )
        for record in records
        if record.phase is Phase.PREPARED and record.outgoing and record.outgoing.target_id == host_id
    ]
    found += [
        OpenTransfer(each.outgoing.transfer_id, each.agent_id, each.birth, each.outgoing.incarnation, "", "")
        for each in abandoned
        if each.outgoing.target_id == host_id
    ]
    return sorted(found)
