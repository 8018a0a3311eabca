"""The numbers that are not settled, by the host that knows them: what a floor is told from. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Floors:
    """The open numbers of one host's outbox.

    A floor says: all my numbers to you below this are settled, I never send them again. So it heeds a number
    that is just being written, too: it may be durable, and not known here yet.
    """

    next_number: int = 1
    """No number up to now is greater or equal."""
    open: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    """Host and lowest number that the message may have there, by position in the outbox."""

    def numbering(self, position: int, host_id: str) -> None:
        """A message is about to get a number of that host."""
        known = self.open.get(position)
        if known is None or known[0] != host_id:
            self.open[position] = host_id, self.next_number

    def numbered(self, position: int, host_id: str, number: int) -> None:
        """It has that number."""
        self.open[position] = host_id, number
        self.next_number = max(self.next_number, number + 1)

    def settled(self, position: int) -> None:
        """It is durably out of the outbox."""
        self.open.pop(position, None)

    def floor(self, host_id: str) -> int:
        """The lowest number of that host that is not settled, or else the next to be handed out."""
        lowest = (number for host, number in self.open.values() if host == host_id)
        return min(lowest, default=self.next_number)
