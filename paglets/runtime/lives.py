"""Which life of which paglet a process is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import PagletRecord


class Life(NamedTuple):
    """A paglet in one incarnation, and the classes that it is made of (``module:Qual.Name``)."""

    agent_id: str
    incarnation: Incarnation
    class_name: str
    state_class_name: str

    @classmethod
    def of(cls, record: PagletRecord) -> Self:
        """The one that a record is about."""
        return cls(record.agent_id, record.incarnation, record.class_name, record.state_class_name)

    @classmethod
    def after(cls, record: PagletRecord) -> Self:
        """The one that follows on it."""
        return cls.of(record)._replace(incarnation=record.incarnation.next())
