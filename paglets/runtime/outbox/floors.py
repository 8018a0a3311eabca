"""The numbers that are not settled, by the host that knows them: what a floor is told from. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from paglets.runtime.lowest_open import LowestOpen


@dataclass(slots=True)
class Floors:
    """The open numbers of one host's outbox.

    A floor says: all my numbers to you below this are settled, I never send them again. So it heeds a number
    that is just being written, too: it may be durable, and not known here yet.
    """

    next_number: int = 1
    """No number up to now is greater or equal."""
    open: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    """Host and lowest number that the message may have there, by position in the outbox; to be read only."""
    _lowest: LowestOpen = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._lowest = LowestOpen(self.open.values())

    def numbering(self, position: int, host_id: str) -> None:
        """A message is about to get a number of that host."""
        known = self.open.get(position)
        if known is None or known[0] != host_id:
            self._put(position, host_id, self.next_number)

    def numbered(self, position: int, host_id: str, number: int) -> None:
        """It has that number."""
        self._put(position, host_id, number)
        self.next_number = max(self.next_number, number + 1)

    def settled(self, position: int) -> None:
        """It is durably out of the outbox."""
        known = self.open.pop(position, None)
        if known is not None:
            self._lowest.discard(*known)

    def floor(self, host_id: str) -> int:
        """The lowest number of that host that is not settled, or else the next to be handed out."""
        lowest = self._lowest.lowest(host_id)
        return self.next_number if lowest is None else lowest

    def _put(self, position: int, host_id: str, number: int) -> None:
        self.settled(position)
        self.open[position] = host_id, number
        self._lowest.add(host_id, number)
