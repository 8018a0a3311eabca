"""The host's handle on one child process: one paglet, in one incarnation."""

from __future__ import annotations

from typing import Any, Protocol

from paglets.core.incarnation import Incarnation
from paglets.persistence.records import HookKind
from paglets.runtime.child_specs import Admitted, AdmitSpec, Call, Departure, Message, OutputLine, Snapshot
from paglets.runtime.children.outcomes import ChildOutcome
from paglets.runtime.launchers.launcher import Launcher, LaunchRequest
from paglets.runtime.memory_files import Payload


class ChildOwner(Protocol):
    """What a child tells and asks the host; all of it on the host's loop."""

    async def on_call(self, child: Child, call: Call) -> bytes:
        """Run an operation of ``paglets.remote.api`` for the paglet; raw JSON, or a ``PagletError``.

        Runs as a task of its own, cancelled when the child ends. A move asked for here calls
        ``child.begin_departure(..., call_id=call.id)``.
        """
        ...

    def on_run_ended(self, child: Child, error: BaseException | None) -> None:
        """``run()`` has returned, or raised."""
        ...

    def on_output(self, child: Child, lines: list[OutputLine]) -> None:
        """The paglet printed; already in ``child.output`` and in the log."""
        ...

    def on_exit(self, child: Child, outcome: ChildOutcome) -> None:
        """The process is gone and reaped. Called once, after every waiting method has raised."""
        ...


class Child:
    """One child process, from launch to exit.

    Every method that waits raises ``PagletCrashedError`` when the child ends first, and may be cancelled: the
    child then goes on with what it does, and its answer is dropped. Bounds in time are the caller's
    (``asyncio.timeout``). Errors raised by the paglet's own code arrive as the classes of the API page.
    """

    agent_id: str
    incarnation: Incarnation
    pid: int
    outcome: ChildOutcome | None
    """None while it lives."""

    @classmethod
    async def launch(
        cls, launcher: Launcher, request: LaunchRequest, *, agent_id: str, incarnation: Incarnation, owner: ChildOwner
    ) -> Child:
        """A fresh process that holds no paglet yet. Safe to cancel."""
        ...

    async def admit(self, spec: AdmitSpec, state: Payload | None = None) -> Admitted:
        """Apply limits, import the classes, decode the state; no hook runs.

        ``state`` is a snapshot's payload (stays the caller's to close); None: ``spec.state_json``, or the
        defaults. ``InvalidAgentError`` for a class that may not or cannot run, ``SerializationError`` for a
        state that does not fit, ``HostError`` otherwise; the child has ended then.
        """
        ...

    async def run_hook(self, kind: HookKind, event: dict[str, Any], *, init: bytes = b"null") -> None:
        """Run ``on_creation``, ``on_arrival``, ``on_clone`` or ``on_activation``; raises what it raised.

        ``event``: the fields that the event has beyond ``PagletEvent``'s, plain JSON values; ``init``: JSON text.
        """
        ...

    def start_run(self) -> None:
        """Start ``run()`` on its own thread; the end is told by ``on_run_ended``. At most once."""
        ...

    async def deliver(self, message: Message) -> bytes:
        """Have one message handled; the reply as JSON text. Handled in the order of the calls.

        ``NotHandledError`` when the paglet does not know it; an exception outside the listed classes is a
        ``HostError`` with type and text, the traceback in its notes.
        """
        ...

    async def begin_departure(self, departure: Departure) -> Snapshot:
        """Run the leaving hook, clean up resources, take the state; see ``Departure``.

        An error of the hook, of a resource (``ResourceCleanupError``) or of the state (``SerializationError``)
        cancels it and the paglet goes on. After it, calls of the paglet on its context raise
        ``LifecycleError`` (except for checkpoint and clone) until ``resume``. The snapshot is the caller's to close.
        """
        ...

    async def resume(self, event: dict[str, Any] | None = None) -> None:
        """It stays after all: reopen the context, run ``on_dispatch_failed`` if there is an event for it."""
        ...

    async def cloned(self, event: dict[str, Any]) -> None:
        """Run ``on_cloned`` in the original; ``event`` as for ``run_hook``, with ``clone_agent_id``."""
        ...

    async def finish(self, grace: float = 5.0) -> ChildOutcome:
        """Let the handler return (its reply is still delivered) and ``run()`` end, then exit; kill after ``grace`` s."""
        ...

    async def kill(self) -> ChildOutcome:
        """End it now."""
        ...

    async def read_state(self) -> bytes:
        """The state as JSON text, while handlers and ``run()`` go on."""
        ...

    def wake(self, *, everyone: bool = False) -> None:
        """``notify_message()`` (or ``notify_all_messages()``) for those in ``wait_message``."""
        ...

    def set_place(self, host_name: str, host_address: str) -> None:
        """The host is called, or found, differently from now on."""
        ...

    def logs(self, since: int = 0, limit: int = 1000) -> list[OutputLine]:
        """What it printed, kept in a bounded ring; lines with a number greater than ``since``."""
        ...

    def memory(self) -> int:
        """Resident memory in bytes: the proportional share where the kernel tells it; 0 when it has ended."""
        ...

    async def wait_ended(self) -> ChildOutcome:
        """Until the process is gone."""
        ...
