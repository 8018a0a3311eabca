"""How near a host is to its bounds, for an operator to see before and while something does not fit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paglets.core.fair_share import FairShare
    from paglets.runtime.memory_room import MemoryRoom
    from paglets.runtime.residents import Residents

RECENT = 60.0
"""Seconds for which a refusal still counts as pressure."""
_NEARLY_FULL = 0.8


class Pressure:
    """Gathers how much of what is bounded is taken, and what was refused lately.

    ``shares`` tells what can be full; ``memory`` and ``starting`` are set once, when the host is put together.
    """

    def __init__(self, residents: Residents) -> None:
        self._residents = residents
        self.shares: Callable[[], Iterable[FairShare]] = lambda: (residents.mail_room,)
        self.memory: MemoryRoom | None = None
        self.starting: Callable[[], int] = int
        """How many processes are being started, or wait for their turn."""

    def shown(self) -> dict[str, Any]:
        """By bound: ``used`` of ``limit``, and how often something was ``refused``; and which of them are ``tight``."""
        bounds = {
            share.name: {"used": share.used, "limit": share.limit, "refused": share.refused}
            for share in self.shares()
        }
        active = {
            "used": len(self._residents),
            "limit": self._residents.limit,
            "refused": self._residents.refused,
        }
        memory = self.memory
        free = (
            {}
            if memory is None
            else {"free": memory.free(), "reserve": memory.reserve, "refused": memory.refused}
        )
        return {
            "tight": self.tight(),
            "active paglets": active,
            "memory": free,
            "processes starting": self.starting(),
            **bounds,
        }

    def tight(self) -> list[str]:
        """The bounds that are nearly reached, or at which something was refused within the last minute."""
        since = time.monotonic() - RECENT
        names = [
            share.name
            for share in self.shares()
            if share.used >= _NEARLY_FULL * share.limit or _lately(share.refused_at, since)
        ]
        if len(self._residents) >= _NEARLY_FULL * self._residents.limit or _lately(
            self._residents.refused_at, since
        ):
            names.append("active paglets")
        memory = self.memory
        if memory is not None and (memory.free() < memory.reserve or _lately(memory.refused_at, since)):
            names.append("memory")
        return names


def _lately(when: float | None, since: float) -> bool:
    return when is not None and when >= since
