"""Transfer ids as a running host hands them out."""

from __future__ import annotations

import pytest

from paglets.core.incarnation import TransferId
from paglets.runtime.transfers.open_ids import OpenTransfers


def test_ids_come_from_reserved_blocks_only() -> None:
    ids = OpenTransfers("A", 1)
    assert ids.exhausted
    with pytest.raises(LookupError):
        ids.take("B")
    ids.refill(range(1, 3))
    assert [ids.take("B"), ids.take("C")] == [TransferId("A", 1), TransferId("A", 2)]
    assert ids.exhausted
    with pytest.raises(ValueError, match="block"):
        ids.refill(range(1, 3))
    ids.refill(range(7, 9))
    with pytest.raises(ValueError, match="block"):
        ids.refill(range(9, 12))
    assert ids.take("B") == TransferId("A", 7)


def test_the_floor_stays_at_the_lowest_open_id_until_that_is_settled() -> None:
    ids = OpenTransfers("A", 5, [("B", TransferId("A", 2))])
    assert (ids.floor("B"), ids.floor("C")) == (2, 5)
    ids.refill(range(5, 10))
    later, elsewhere = ids.take("B"), ids.take("C")
    assert (ids.floor("B"), ids.floor("C"), ids.floor("D")) == (2, 6, 7)
    ids.settle(TransferId("A", 2))
    assert ids.floor("B") == later.counter
    ids.settle(later)
    ids.settle(elsewhere)
    ids.settle(elsewhere)
    assert ids.floor("B") == ids.floor("C") == 7
