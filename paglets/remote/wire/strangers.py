"""Refused connections: counted always, reported at a bounded rate."""

from __future__ import annotations

import asyncio
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
    address: str = ""
    detail: str = ""
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Strangers:
    """Counts refusals and passes them on: each reason at most once per ``interval`` seconds.

    The first of a reason is told at once; those that follow within the interval are told together at its end,
    with the address and the detail of the last.
    """

    callback: SecurityCallback
    interval: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _tallies: dict[Refusal, _Tally] = field(default_factory=dict[Refusal, _Tally])

    def refuse(self, reason: Refusal, address: str, detail: str = "") -> None:
        """Count one refusal; log and report it, now or with others of its reason in a moment."""
        tally = self._tallies.setdefault(reason, _Tally())
        tally.total += 1
        tally.unreported += 1
        tally.address, tally.detail = address, detail[:200]
        wait = tally.reported_at + self.interval - self.clock()
        if wait <= 0:
            self._report(reason, tally)
        elif tally.timer is None:
            tally.timer = _later(wait, lambda: self._report(reason, tally))

    def close(self) -> None:
        """Report what was not reported yet, now."""
        for reason, tally in self._tallies.items():
            if tally.unreported:
                self._report(reason, tally)

    @property
    def counts(self) -> dict[str, int]:
        """Refusals since the start, by reason."""
        return {reason.value: tally.total for reason, tally in self._tallies.items()}

    def _report(self, reason: Refusal, tally: _Tally) -> None:
        if tally.timer is not None:
            tally.timer.cancel()
            tally.timer = None
        report = SecurityReport(reason, tally.address, tally.detail, tally.unreported)
        tally.unreported = 0
        tally.reported_at = self.clock()
        logger.warning(
            "refused a connection",
            extra={
                "reason": reason.value,
                "peer": report.address,
                "detail": report.detail,
                "count": report.count,
            },
        )
        self.callback(report)


def _later(delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle | None:
    try:
        return asyncio.get_running_loop().call_later(delay, callback)
    except RuntimeError:
        return None  # without a loop they are told with the next one
