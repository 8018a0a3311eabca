"""How a child ended is said once, in words that fit behind "the process ended: "."""

from __future__ import annotations

import signal

import pytest

from paglets.runtime.children.outcomes import ChildEnd, outcome_of
from paglets.runtime.launchers.launcher import ExitStatus

KILLED = ExitStatus(signal=signal.SIGKILL)


@pytest.mark.parametrize(
    ("status", "known", "end", "said"),
    [
        (ExitStatus(code=3), {}, ChildEnd.EXITED, "exited with 3 (by itself, while it was needed)"),
        (ExitStatus(code=0), {"finishing": True}, ChildEnd.FINISHED, "exited with 0"),
        (KILLED, {"killed": True}, ChildEnd.KILLED, "killed by SIGKILL (by its host)"),
        (
            KILLED, {}, ChildEnd.CRASHED,
            "killed by SIGKILL (somebody killed it, or the kernel did because memory ran out)",
        ),
        (ExitStatus(signal=signal.SIGTERM), {}, ChildEnd.CRASHED, "killed by SIGTERM"),
        (
            KILLED, {"violation": ""}, ChildEnd.LINK_CLOSED,
            "killed by SIGKILL (it closed its link to the host and went on)",
        ),
        (KILLED, {"violation": "it sent noise"}, ChildEnd.LINK_VIOLATED, "killed by SIGKILL (it sent noise)"),
        (
            ExitStatus(), {}, ChildEnd.LAUNCHER_LOST,
            "lost with its launcher (the process that it was forked from has died)",
        ),
    ],
    ids=lambda value: value.value if isinstance(value, ChildEnd) else "",
)  # fmt: skip
def test_it_is_said_once(status: ExitStatus, known: dict[str, object], end: ChildEnd, said: str) -> None:
    violation = known.get("violation")
    outcome = outcome_of(
        status,
        finishing=bool(known.get("finishing")),
        killed=bool(known.get("killed")),
        violation=None if violation is None else str(violation),
    )
    assert outcome.end is end
    assert str(outcome) == said
