"""The transfer ids a running host has handed out and not seen settled: what its floors are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.incarnation import TransferId
from paglets.runtime.lowest_open import LowestOpen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COUNTER_BLOCK = 256
"""Counters taken out of the journal at a time, so that few moves cost an extra commit."""


class OpenTransfers:
    """Hands out transfer ids from durable blocks, and knows which are open.

    Starts with the journal's counter and the transfers that it holds PREPARED (``counters.open_transfers``).
    An id is open
    from the moment it is taken until `settle`, to be called when what settles it is synced; a transfer that
    is parked stays open. Not safe for threads: it belongs to the host's loop.
    """

    def __init__(
        self, host_id: str, next_counter: int, journaled: Iterable[tuple[str, TransferId]] = ()
    ) -> None:
        self._host_id = host_id
        self.on_settled: Callable[[str], None] = lambda _target_id: None
        """Hears of the target of each transfer that is settled; set once, when all parts are there."""
        self._targets: dict[TransferId, str] = {}
        self._lowest = LowestOpen()
        for target, transfer_id in journaled:
            self._open(transfer_id, target)
        self._block = range(next_counter, next_counter)

    @property
    def exhausted(self) -> bool:
        """True when a block has to be reserved before the next id can be taken."""
        return not self._block

    @property
    def next_counter(self) -> int:
        """The next counter to be handed out: no transfer has it yet, or a higher one."""
        return self._block.start

    def refill(self, block: range) -> None:
        """Add what ``counters.reserve_counters`` returned, once its commit is synced; only when exhausted."""
        if self._block or block.start < self._block.start:
            raise ValueError("the block before this one is not used up, or reaches further")
        self._block = block

    def take(self, target_id: str) -> TransferId:
        """The next id, for a transfer to ``target_id``, open from now on; `LookupError` when exhausted."""
        if not self._block:
            raise LookupError("no reserved transfer counters are left")
        counter, self._block = self._block[0], self._block[1:]
        transfer_id = TransferId(self._host_id, counter)
        self._open(transfer_id, target_id)
        return transfer_id

    def reopen(self, transfer_id: TransferId, target_id: str) -> None:
        """A transfer that the journal holds PREPARED from the host's earlier life."""
        self._open(transfer_id, target_id)

    def settle(self, transfer_id: TransferId) -> None:
        """The transfer is settled durably; nothing happens when it was not open."""
        target_id = self._targets.pop(transfer_id, None)
        if target_id is not None:
            self._lowest.discard(target_id, transfer_id.counter)
            self.on_settled(target_id)

    def floor(self, target_id: str) -> int:
        """The floor to tell ``target_id`` now."""
        lowest = self._lowest.lowest(target_id)
        return self._block.start if lowest is None else min(lowest, self._block.start)

    def _open(self, transfer_id: TransferId, target_id: str) -> None:
        self.settle(transfer_id)
        self._targets[transfer_id] = target_id
        self._lowest.add(target_id, transfer_id.counter)
