"""A random walk found two copies of a paglet in the same lineage: the forward that told it was forgotten."""

from __future__ import annotations

import pytest

from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.adoption_records import QuarantinedCopy, Whereabouts
from paglets.persistence.journal import adoption
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.forgetting import forget
from paglets.persistence.memory import MemoryTransaction
from paglets.persistence.records import Forward, PagletRecord, Phase

LATER = 1e9


def test_a_forward_is_not_forgotten_while_a_copy_is_kept_that_may_be_adopted_above_it() -> None:
    tx = MemoryTransaction()
    first, second = Incarnation(Lineage(), 3), Incarnation(Lineage(1, "D"), 5)
    copy = PagletRecord("p", "A", Phase.INACTIVE, first, "m:C", "m:S")
    tx.put_copy(QuarantinedCopy(copy, Whereabouts(Incarnation(Lineage(), 4), "C"), 0.0))
    forward = Forward("C", "", "", second, 0.0)
    tx.put_paglet(PagletRecord("p", "A", Phase.DEPARTED, second, "m:C", "m:S", forward=forward))
    with pytest.raises(JournalConflict, match="quarantine"):
        forget(tx, "p", second, now=LATER)
    adopted = adoption.adopt_copy(tx, "D", "p", first, event={}, at=0.0)
    assert adopted.started.record.incarnation.lineage > second.lineage


def test_it_is_forgotten_when_the_copy_was_dropped() -> None:
    tx = MemoryTransaction()
    life = Incarnation(Lineage(1, "D"), 5)
    copy = PagletRecord("p", "A", Phase.INACTIVE, Incarnation(), "m:C", "m:S")
    tx.put_copy(QuarantinedCopy(copy, Whereabouts(life, "C"), 0.0))
    record = PagletRecord(
        "p", "A", Phase.DEPARTED, life, "m:C", "m:S", forward=Forward("C", "", "", life, 0.0)
    )
    tx.put_paglet(record)
    adoption.discard_copy(tx, "p", Incarnation())
    forget(tx, "p", life, now=LATER)
    assert tx.paglet("p") is None
