"""How a child ended, as the host sees it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

from paglets.core.errors import PagletCrashedError
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


class LauncherLostError(PagletCrashedError):
    """A process went with the one that it was forked from, before it held its paglet."""


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """The end of one child."""

    end: ChildEnd
    status: ExitStatus
    detail: str = ""
    """For people, after how it ended: what went wrong; empty when nothing did."""

    @property
    def wanted(self) -> bool:
        """Whether the host wanted this end."""
        return self.end in {ChildEnd.FINISHED, ChildEnd.KILLED}

    def __str__(self) -> str:
        return f"{self.status} ({self.detail})" if self.detail else str(self.status)


def outcome_of(status: ExitStatus, *, finishing: bool, killed: bool, violation: str | None) -> ChildOutcome:
    """Put together what is known.

    ``violation``: what was wrong with what the child sent, or ``""`` when it closed its link unasked.
    """
    signalled = status.signal is not None
    if violation:
        end, detail = ChildEnd.LINK_VIOLATED, violation
    elif violation is not None:
        end, detail = ChildEnd.LINK_CLOSED, "it closed its link to the host and went on"
    elif killed:
        end, detail = ChildEnd.KILLED, "by its host"
    elif status == ExitStatus():
        end, detail = ChildEnd.LAUNCHER_LOST, "the process that it was forked from has died"
    elif finishing and not signalled:
        end, detail = ChildEnd.FINISHED, ""
    elif signalled:
        end, detail = ChildEnd.CRASHED, _WHY.get(status.signal or 0, "")
    else:
        end, detail = ChildEnd.EXITED, "by itself, while it was needed"
    return ChildOutcome(end, status, detail)


_WHY: dict[int, str] = {
    signal.SIGKILL: "somebody killed it, or the kernel did because memory ran out",
    signal.SIGSEGV: "a fault in machine code that it used",
    signal.SIGXCPU: "it used up its processor time",
    signal.SIGALRM: "its classes and state took too long to load",
}
