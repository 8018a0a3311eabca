"""Looking into a stored state or a class, in a process that ends with it; the host opens neither."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paglets.core.incarnation import Incarnation
from paglets.runtime.child_specs import Limits
from paglets.runtime.children.child import Child

if TYPE_CHECKING:
    from paglets.runtime.child_specs import AdmitSpec, Call, ClassFacts
    from paglets.runtime.children.outcomes import ChildOutcome
    from paglets.runtime.launchers.launcher import Launcher, LaunchRequest
    from paglets.runtime.memory_files import Payload


async def inspect_state(
    launcher: Launcher,
    request: LaunchRequest,
    state: Payload,
    *,
    limits: Limits | None = None,
    timeout: float = 30.0,
) -> bytes:
    """A snapshot's payload as JSON text, made by a child of its own that ends with it.

    ``SerializationError`` for a payload that is none, or takes more memory than it may; ``TimeoutError``.
    """
    child = await Child.launch(
        launcher, request, agent_id="(inspection)", incarnation=Incarnation(), owner=_Nobody()
    )
    try:
        async with asyncio.timeout(timeout):
            return await child.inspect(state, limits or Limits())
    finally:
        await child.kill()


async def describe_class(launcher: Launcher, request: LaunchRequest, spec: AdmitSpec) -> ClassFacts:
    """What a class says of itself, told by a child of its own that imports it and ends.

    ``InvalidAgentError`` for a class that may not or cannot run here.
    """
    child = await Child.launch(
        launcher, request, agent_id=spec.agent_id, incarnation=Incarnation(), owner=_Nobody()
    )
    try:
        return await child.describe(spec)
    finally:
        await child.kill()


class _Nobody:
    """The owner of a child that holds no paglet."""

    async def on_call(self, child: Child, call: Call) -> bytes:
        raise NotImplementedError(f"{call.method} from {child.pid}, which runs nobody's code")

    def on_run_ended(self, child: Child, error: BaseException | None) -> None:
        pass

    def on_output(self, child: Child, lines: list[str]) -> None:
        pass

    def on_exit(self, child: Child, outcome: ChildOutcome) -> None:
        pass
