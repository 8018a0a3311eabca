"""Which life of a paglet is meant: lineage, incarnation and transfer id, all totally ordered."""

from __future__ import annotations

import msgspec


class Lineage(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Which line of descent a copy belongs to: ``(0, "")`` unless an operator adopted it.

    ``number`` is one more than the highest seen at an adoption; ``adopter`` is the adopting host's id and
    breaks ties, so that two adoptions of the same paglet are never equal.
    """

    number: int = 0
    adopter: str = ""


class Incarnation(msgspec.Struct, frozen=True, order=True, array_like=True):
    """One life of a paglet, ordered by lineage, then epoch.

    The epoch grows by one with every hop and with every restart from a record.
    """

    lineage: Lineage = Lineage()
    epoch: int = 1

    def next(self) -> Incarnation:
        """The incarnation that follows this one in the same lineage."""
        return Incarnation(self.lineage, self.epoch + 1)

    def __str__(self) -> str:
        adopted = f"{self.lineage.number}@{self.lineage.adopter}:" if self.lineage.number else ""
        return f"{adopted}{self.epoch}"


class TransferId(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Names one move: the id of the host it starts from and that host's counter, which never repeats."""

    source: str
    counter: int

    def __str__(self) -> str:
        return f"{self.source}/{self.counter}"

    @classmethod
    def parse(cls, text: str) -> TransferId:
        """Read what ``str()`` wrote; ``ValueError`` for anything else."""
        source, slash, counter = text.rpartition("/")
        if not slash or not source or not counter.isascii() or not counter.isdigit():
            raise ValueError(f"{text!r} is no transfer id; it looks like HOST-ID/NUMBER")
        return cls(source, int(counter))
