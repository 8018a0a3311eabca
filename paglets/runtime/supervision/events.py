"""What the supervision of a paglet is told. Times are what ``step`` is given beside them."""

from __future__ import annotations

import msgspec

from paglets.core.policies import RestartPolicy


class Crashed(msgspec.Struct, frozen=True):
    """Its process ended against its host's will, could not be had, or its first hook raised."""

    why: str
    policy: RestartPolicy
    """Of its class."""
    moving: bool = False
    """It was on its way: what that means is for its move to say."""


class Lost(msgspec.Struct, frozen=True):
    """Its process was taken down with the one that it was forked from: not its own doing."""

    why: str
    moving: bool = False


class Recovered(msgspec.Struct, frozen=True):
    """A life of it has begun: its first hook has returned."""


class TimerEnded(msgspec.Struct, frozen=True):
    """The pause ``number`` is over."""

    number: int


class ActivateAsked(msgspec.Struct, frozen=True):
    """Somebody wants it to run, and starts it himself if it is down."""


class Disposed(msgspec.Struct, frozen=True):
    """It is no more."""


class Moved(msgspec.Struct, frozen=True):
    """It lives at another host."""


class Deactivated(msgspec.Struct, frozen=True):
    """It was parked."""


class HostStopped(msgspec.Struct, frozen=True):
    """Nothing is started here any more."""


Event = Crashed | Lost | Recovered | TimerEnded | ActivateAsked | Disposed | Moved | Deactivated | HostStopped
