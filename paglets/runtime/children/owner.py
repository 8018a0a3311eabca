"""What a child process tells and asks the host that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from paglets.runtime.child_specs import Call
    from paglets.runtime.children.child import Child
    from paglets.runtime.children.outcomes import ChildOutcome


class ChildOwner(Protocol):
    """What a child tells and asks the host; all of it on the host's loop."""

    def on_call(self, child: Child, call: Call) -> Awaitable[bytes]:
        """Run an operation of ``paglets.remote.api`` for the paglet; raw JSON, or a ``PagletError``.

        A coroutine runs as a task of its own, a ``Pending`` needs none; cancelled when the child ends. A move asked
        for here calls ``child.begin_departure`` with ``call_id=call.id``.
        """
        ...

    def on_run_ended(self, child: Child, error: BaseException | None) -> None:
        """``run()`` has returned, or raised."""
        ...

    def on_output(self, child: Child, lines: list[str]) -> None:
        """The paglet printed, at most ``output.MAX_LINE`` bytes a line; already in the log."""
        ...

    def on_exit(self, child: Child, outcome: ChildOutcome) -> None:
        """The process is gone and reaped. Called once, after every waiting method has raised."""
        ...
