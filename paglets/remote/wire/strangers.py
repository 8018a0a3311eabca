"""Refused connections: counted always, reported at a bounded rate."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

logger = logging.getLogger(__name__)


class Refusal(StrEnum):
    """Why somebody was turned away."""

    NO_CERTIFICATE = "no-certificate"
    FOREIGN_CERTIFICATE = "foreign-certificate"
    """A certificate of another mesh, or none that TLS could verify."""
    REVOKED = "revoked"
    PLAIN_HTTP = "plain-http"
    GARBAGE = "garbage"
    """Neither TLS nor HTTP."""
    HANDSHAKE_TIMEOUT = "handshake-timeout"
    DISCONNECTED = "disconnected"
    """Left, or half-closed, before it said who it is."""
    TOO_MANY = "too-many"
    BAD_METHOD = "bad-method"
    FORBIDDEN = "forbidden"
    """Authenticated, but not for what it asked."""
    VERSION = "version"
    """Speaks another major version."""
    BAD_FRAMES = "bad-frames"
    """Authenticated, and kept sending what cannot be understood."""
    WRONG_USER = "wrong-user"
    """Another user's process on the Unix socket."""
    WRONG_HOST = "wrong-host"
    """We dialled a host and another key answered."""


@dataclass(frozen=True, slots=True)
class SecurityReport:
    """What a ``security`` event is made of."""

    reason: Refusal
    address: str
    """Where the last of them came from."""
    detail: str
    count: int
    """How many refusals this report stands for."""


SecurityCallback = Callable[[SecurityReport], None]


def ignore_security(report: SecurityReport) -> None:
    """A callback for those who only want the log line."""


@dataclass(slots=True)
class _Tally:
    total: int = 0
    unreported: int = 0
    reported_at: float = float("-inf")


@dataclass(slots=True)
class Strangers:
    """Counts refusals and passes them on: each reason at most once per ``interval`` seconds."""

    callback: SecurityCallback
    interval: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _tallies: dict[Refusal, _Tally] = field(default_factory=dict[Refusal, _Tally])

    def refuse(self, reason: Refusal, address: str, detail: str = "") -> None:
        """Count one refusal; log and report it unless the same reason was reported just now."""
        tally = self._tallies.setdefault(reason, _Tally())
        tally.total += 1
        tally.unreported += 1
        now = self.clock()
        if now - tally.reported_at < self.interval:
            return
        report = SecurityReport(reason, address, detail[:200], tally.unreported)
        tally.unreported = 0
        tally.reported_at = now
        logger.warning(
            "refused a connection",
            extra={"reason": reason.value, "peer": address, "detail": report.detail, "count": report.count},
        )
        self.callback(report)

    @property
    def counts(self) -> dict[str, int]:
        """Refusals since the start, by reason."""
        return {reason.value: tally.total for reason, tally in self._tallies.items()}
