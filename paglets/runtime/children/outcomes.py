"""How a child ended, as the host sees it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

from paglets.runtime.launchers.launcher import ExitStatus


class ChildEnd(StrEnum):
    """Why a child is no more."""

    FINISHED = "finished"
    """The host asked it to end and it did, or it was not admitted."""
    KILLED = "killed"
    """The host ended it by force: it outlived its grace, or the host let go of it."""
    EXITED = "exited"
    """It ended by itself: ``sys.exit``, ``os._exit``, an interpreter that fell over."""
    CRASHED = "crashed"
    """A signal that the host did not send: a segmentation fault, a memory kill, somebody's ``kill``."""
    LINK_CLOSED = "link-closed"
    """It closed its socket while it was needed; killed for that."""
    LINK_VIOLATED = "link-violated"
    """It sent what is no frame of ours, or more than its bounds; killed for that."""
    LAUNCHER_LOST = "launcher-lost"
    """The zygote went, and its children with it."""


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """The end of one child."""

    end: ChildEnd
    status: ExitStatus
    detail: str = ""
    """One sentence for people, naming what went wrong; empty when nothing did."""

    @property
    def wanted(self) -> bool:
        """Whether the host wanted this end."""
        return self.end in {ChildEnd.FINISHED, ChildEnd.KILLED}

    def __str__(self) -> str:
        return f"{self.end.value}: {self.status}" + (f" ({self.detail})" if self.detail else "")


def outcome_of(status: ExitStatus, *, finishing: bool, killed: bool, violation: str | None) -> ChildOutcome:
    """Put together what is known. ``violation``: what the child sent, or ``""`` when it closed its link unasked."""
    if violation:
        return ChildOutcome(ChildEnd.LINK_VIOLATED, status, violation)
    if violation is not None:
        return ChildOutcome(ChildEnd.LINK_CLOSED, status, "it closed its link to the host and went on")
    if killed:
        return ChildOutcome(ChildEnd.KILLED, status)
    if status.code is None and status.signal is None:
        return ChildOutcome(ChildEnd.LAUNCHER_LOST, status, "the process that it was forked from has died")
    if finishing and status.code is not None:
        return ChildOutcome(ChildEnd.FINISHED, status)
    if status.signal is not None:
        return ChildOutcome(ChildEnd.CRASHED, status, _WHY.get(status.signal, ""))
    return ChildOutcome(ChildEnd.EXITED, status, "it ended by itself, while it was needed")


_WHY: dict[int, str] = {
    signal.SIGKILL: "somebody killed it, or the kernel did because memory ran out",
    signal.SIGSEGV: "a fault in machine code that it used",
    signal.SIGXCPU: "it used up its processor time",
    signal.SIGALRM: "its classes and state took too long to load",
}
