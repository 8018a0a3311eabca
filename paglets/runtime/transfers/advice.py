"""Why envelopes were refused before they were complete: unsigned advice, which may get lost on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.core.incarnation import TransferId

MAX_KEPT = 1024
MAX_CHARACTERS = 500


class Advice:
    """The latest refusals by transfer, in memory: the verdict that settles one of them says why again."""

    def __init__(self) -> None:
        self._reasons: dict[TransferId, str] = {}

    def keep(self, transfer_id: TransferId, reason: str) -> None:
        """That transfer was refused; the oldest of many is forgotten."""
        self._reasons.pop(transfer_id, None)
        self._reasons[transfer_id] = reason[:MAX_CHARACTERS]
        if len(self._reasons) > MAX_KEPT:
            del self._reasons[next(iter(self._reasons))]

    def of(self, transfer_id: TransferId) -> str:
        """Why it was refused; empty when it was not, or that is forgotten."""
        return self._reasons.get(transfer_id, "")

    def forget(self, transfer_id: TransferId) -> None:
        """It has its verdict."""
        self._reasons.pop(transfer_id, None)
