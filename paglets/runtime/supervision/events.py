"""What the supervision of a paglet is told. Times are what ``step`` is given beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.core.policies import RestartPolicy


@dataclass(frozen=True, slots=True)
class Crashed:
    """Its process ended against its host's will, could not be had, or its first hook raised."""

    why: str
    policy: RestartPolicy
    """Of its class."""
    moving: bool = False
    """It was on its way: what that means is for its move to say."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Its process was taken down with the one that it was forked from: not its own doing."""

    why: str
    moving: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """A life of it has begun: its first hook has returned."""


@dataclass(frozen=True, slots=True)
class TimerEnded:
    """The pause ``number`` is over."""

    number: int


@dataclass(frozen=True, slots=True)
class ActivateAsked:
    """Somebody wants it to run, and starts it himself if it is down."""


@dataclass(frozen=True, slots=True)
class Disposed:
    """It is no more."""


@dataclass(frozen=True, slots=True)
class Moved:
    """It lives at another host."""


@dataclass(frozen=True, slots=True)
class Deactivated:
    """It was parked."""


@dataclass(frozen=True, slots=True)
class HostStopped:
    """Nothing is started here any more."""


Event = Crashed | Lost | Recovered | TimerEnded | ActivateAsked | Disposed | Moved | Deactivated | HostStopped
