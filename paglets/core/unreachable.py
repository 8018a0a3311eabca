"""What a plan does about a stop that cannot be reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from paglets.core.runtime_values import require_enum


class UnreachableAction(StrEnum):
    """What follows when the paglet could not be moved to its next destination."""

    RAISE = "raise"
    """The ``TransferError`` is the caller's; the plan is as it was."""
    RETRY = "retry"
    """The paglet is parked, and the same destination is tried again later."""
    SKIP = "skip"
    """The destination is left out, and the next one is tried."""
    END = "end"
    """The plan is over."""


@dataclass(frozen=True, slots=True)
class UnreachablePolicy:
    """A plan's policy; it travels with the plan. ``ValueError`` or ``TypeError`` for one that makes no sense."""

    action: UnreachableAction = UnreachableAction.RAISE
    retries: int = 3
    """For ``RETRY``: how often one destination is tried again."""
    retry_interval: float = 60.0
    """For ``RETRY``: seconds between two tries, which the paglet spends parked."""
    afterwards: UnreachableAction = UnreachableAction.SKIP
    """For ``RETRY``: what follows the last try, ``SKIP`` or ``END``. Nobody waits for an error by then."""

    def __post_init__(self) -> None:
        require_enum(self.action, UnreachableAction, "action")
        require_enum(self.afterwards, UnreachableAction, "afterwards")
        if self.retries < 0 or not (0 < self.retry_interval < math.inf):
            raise ValueError("a policy needs retries >= 0 and a positive number of seconds as retry_interval")
        if self.afterwards not in {UnreachableAction.SKIP, UnreachableAction.END}:
            raise ValueError(f"what follows the last try is skip or end, not {self.afterwards.value}")

    @classmethod
    def retry(
        cls,
        retries: int = 3,
        *,
        interval: float = 60.0,
        afterwards: UnreachableAction = UnreachableAction.SKIP,
    ) -> UnreachablePolicy:
        """Try again up to so many times, every ``interval`` seconds; then skip the stop, or end the plan."""
        return cls(UnreachableAction.RETRY, retries, interval, afterwards)

    @classmethod
    def skip(cls) -> UnreachablePolicy:
        """Leave the stop out and go on with the next."""
        return cls(UnreachableAction.SKIP)

    @classmethod
    def end(cls) -> UnreachablePolicy:
        """Stay where it is; the plan is over."""
        return cls(UnreachableAction.END)
