"""When a paglet's state is made durable, and what follows a crash: chosen by its class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from paglets.core.errors import SerializationError
from paglets.core.runtime_values import enum_from_wire, require_enum
from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping


class CheckpointMode(StrEnum):
    """When a checkpoint is written besides those of the lifecycle."""

    LIFECYCLE = "lifecycle"
    EVERY_MESSAGE = "every-message"
    INTERVAL = "interval"


class RestartMode(StrEnum):
    """Whether a crashed paglet is started again."""

    NEVER = "never"
    ON_CRASH = "on-crash"


@dataclass(frozen=True, slots=True)
class CheckpointPolicy:
    """When the current state becomes the one that a restart comes back to.

    Creation, arrival and activation are always checkpoints, and so is each ``checkpoint()``.
    """

    mode: CheckpointMode = CheckpointMode.LIFECYCLE
    interval: float = 0.0
    """Seconds; for ``INTERVAL`` only, where it must be positive."""

    def __post_init__(self) -> None:
        require_enum(self.mode, CheckpointMode, "mode")
        if self.mode is CheckpointMode.INTERVAL and not (0 < self.interval < math.inf):
            raise ValueError(f"interval must be a positive number of seconds, not {self.interval!r}")

    @classmethod
    def lifecycle(cls) -> CheckpointPolicy:
        """At lifecycle points only: the default."""
        return cls()

    @classmethod
    def every_message(cls) -> CheckpointPolicy:
        """Also after every handled message, whatever its handler ended with, before its reply leaves.

        The whole state is given each time, and written when it has changed.
        """
        return cls(CheckpointMode.EVERY_MESSAGE)

    @classmethod
    def at_most_every(cls, seconds: float) -> CheckpointPolicy:
        """Also after a handled message, as soon as the last checkpoint is that many seconds old.

        Its reply does not wait. So no more than that is lost of what was handled; what ``run()`` does meanwhile is
        for ``checkpoint()``.
        """
        return cls(CheckpointMode.INTERVAL, seconds)

    def to_wire(self) -> dict[str, Any]:
        """All fields by name."""
        return {"mode": self.mode.value, "interval": self.interval}

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> CheckpointPolicy:
        """Read what ``to_wire`` wrote; ``SerializationError`` for anything else."""
        values = checked("CheckpointPolicy", payload, {"mode": str, "interval": (float, int)})
        return _built("CheckpointPolicy", cls, values, CheckpointMode)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """What a host does with a paglet whose process crashed, or whose first hook in a life raised or crashed."""

    mode: RestartMode = RestartMode.ON_CRASH
    max_restarts: int = 5
    """With one more crash than that within ``window``, the paglet is shown as failed."""
    window: float = 60.0
    """Seconds."""
    backoff: float = 0.1
    """Seconds before the first restart; doubled with each further one in the window."""
    max_backoff: float = 10.0

    def __post_init__(self) -> None:
        require_enum(self.mode, RestartMode, "mode")
        if self.max_restarts < 0 or not self.window > 0 or not 0 <= self.backoff <= self.max_backoff:
            raise ValueError(
                "a restart policy needs max_restarts >= 0, window > 0 and 0 <= backoff <= max_backoff"
            )

    @classmethod
    def never(cls) -> RestartPolicy:
        """A crash is final: the paglet is shown as failed."""
        return cls(RestartMode.NEVER)

    @classmethod
    def on_crash(cls, max_restarts: int = 5, window: float = 60.0) -> RestartPolicy:
        """Started again from its checkpoint, up to so many times in so many seconds."""
        return cls(RestartMode.ON_CRASH, max_restarts, window)

    def delay(self, crashes: int) -> float | None:
        """Seconds to wait after that many crashes within the window; None: no restart any more."""
        if self.mode is RestartMode.NEVER or crashes > self.max_restarts:
            return None
        return min(self.max_backoff, self.backoff * 2.0 ** min(max(crashes - 1, 0), 64))

    def to_wire(self) -> dict[str, Any]:
        """All fields by name."""
        return {
            "mode": self.mode.value,
            "max_restarts": self.max_restarts,
            "window": self.window,
            "backoff": self.backoff,
            "max_backoff": self.max_backoff,
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> RestartPolicy:
        """Read what ``to_wire`` wrote; ``SerializationError`` for anything else."""
        number = (float, int)
        kinds = {"mode": str, "max_restarts": int, "window": number, "backoff": number, "max_backoff": number}
        return _built("RestartPolicy", cls, checked("RestartPolicy", payload, kinds), RestartMode)


def _built(owner: str, cls: type[Any], values: dict[str, Any], modes: type[StrEnum]) -> Any:
    try:
        if "mode" in values:
            values["mode"] = enum_from_wire(values["mode"], modes, "mode")
        return cls(**values)
    except ValueError as error:
        raise SerializationError(f"{owner}: {error}") from None
