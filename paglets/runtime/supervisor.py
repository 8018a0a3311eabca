"""Makes the processes that paglets run in, and hears of their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Protocol

from paglets.core.errors import HostError, InvalidAgentError, PagletCrashedError
from paglets.core.fair_share import FairShare
from paglets.core.incarnation import Incarnation
from paglets.runtime.child_specs import AdmitSpec, CodePolicy
from paglets.runtime.child_specs import Limits as ChildLimits
from paglets.runtime.children.child import Child
from paglets.runtime.children.inspection import describe_class, inspect_state
from paglets.runtime.children.open_calls import calls_room
from paglets.runtime.children.outcomes import ChildEnd, LauncherLostError
from paglets.runtime.frames import Prepare
from paglets.runtime.launchers.launcher import LaunchRequest
from paglets.runtime.lives import Life
from paglets.runtime.memory_room import MemoryRoom
from paglets.runtime.turns import Turnstile
from paglets.runtime.work_dirs import safe_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import msgspec

    from paglets.core.incarnation import Lineage
    from paglets.runtime.child_specs import Admitted, Call, ClassFacts
    from paglets.runtime.children.outcomes import ChildOutcome
    from paglets.runtime.events import Events
    from paglets.runtime.here import Here
    from paglets.runtime.launchers.launcher import Launcher
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.outputs import Outputs
    from paglets.runtime.residents import Residents
    from paglets.runtime.settings import HostSettings
    from paglets.runtime.work_dirs import WorkDirs

logger = logging.getLogger(__name__)

_ONE_ASKER = 3.0
"""What one may have of the early processes, as a multiple of what is free: a quarter is left to others."""
REFUSED_MODULES = ("__main__", "__mp_main__")


class Switchboard(Protocol):
    """Who answers what paglets ask for."""

    def call(self, child: Child, call: Call) -> Awaitable[bytes]:
        """Run the operation; raw JSON, or a ``PagletError``."""
        ...


class Supervisor:
    """All child processes of a host. It owns them from launch to exit and is the owner they report to."""

    def __init__(
        self,
        *,
        launcher: Launcher,
        residents: Residents,
        events: Events,
        outputs: Outputs,
        here: Here,
        settings: HostSettings,
        work_dirs: WorkDirs,
        life_file: Path,
    ) -> None:
        self._launcher = launcher
        self._residents = residents
        self._events = events
        self._outputs = outputs
        self._here = here
        self._settings = settings
        self._work_dirs = work_dirs
        self._life_file = life_file
        self._starts = asyncio.Semaphore(settings.limits.concurrent_starts)
        self._askers = Turnstile(max(1, settings.limits.concurrent_starts // 2))
        self.memory = MemoryRoom(settings.limits.memory_reserve)
        self.calls_room = calls_room(settings.limits.waiting_bytes)
        """Bytes of calls of all paglets under way."""
        self.early = FairShare("", max(1, settings.limits.concurrent_starts // 2), share=_ONE_ASKER)
        """Processes that wait for a state which is on its way, by who sends it: they take no turn."""
        self.starting = 0
        """Processes that are being started, or wait for their turn."""
        self._children: set[Child] = set()
        self._ending: set[asyncio.Task[ChildOutcome]] = set()
        self._closing = False
        self.switchboard: Switchboard | None = None
        """Set once, when the host is put together, before the first child is made."""
        self.on_crash: Callable[[Child, ChildOutcome], None] | None = None
        """Told of a resident's child that ended against its will, after the table was brought up to date."""

    async def start(
        self,
        life: Life,
        *,
        state: Payload | None = None,
        state_json: msgspec.Raw | None = None,
        on_behalf: str = "",
        gives_state: bool = False,
    ) -> tuple[Child, Admitted]:
        """A process that holds the paglet, its class imported and its state loaded; no hook has run.

        ``on_behalf``: who asks for it, a paglet or host; nobody gets more than half of the starts at a time.
        ``gives_state``: see ``Child.admit``. Bounded by ``start_timeout`` from the moment it is its turn. Any failure
        is one of the API page's errors, and leaves no process.
        """
        spec = self._spec(life, state_json)
        async with self._start_of(spec, on_behalf):
            child = await self._launch(spec, state.size if state is not None else 0)
            return child, await self._admit(child, state, gives_state=gives_state)

    async def launch(self, life: Life, *, size: int, on_behalf: str = "") -> Child:
        """The first half of ``start``, for a paglet whose state of ``size`` bytes is still on its way.

        The class is being imported when this returns; what goes wrong with that is told by ``admit``. The child is the
        caller's to admit or to end, and has one of the places of ``early`` meanwhile, which the caller takes.
        """
        spec = self._spec(life)
        async with self._start_of(spec, on_behalf):
            return await self._launch(spec, size)

    async def admit(self, child: Child, life: Life, *, state: Payload, on_behalf: str = "") -> Admitted:
        """The other half: the state is loaded. Bounded by ``start_timeout`` anew; a failure leaves no process."""
        try:
            async with self._bounded(life.agent_id, life.class_name, on_behalf, is_new=False):
                admitted = await self._admit(child, state)
        except BaseException:
            self.end(child, grace=0)
            raise
        if child.told_place != (self._here.name, self._here.address):
            child.set_place(self._here.name, self._here.address)
        return admitted

    def _start_of(self, spec: AdmitSpec, on_behalf: str) -> AbstractAsyncContextManager[None]:
        if spec.class_name.partition(":")[0] in REFUSED_MODULES:
            raise InvalidAgentError(
                f"{spec.class_name} is defined in the program's main script, which a child process cannot import; "
                "move the class into a module of its own and import it from there"
            )
        if self._closing:
            raise HostError(f"host {self._here.name} is stopping")
        return self._bounded(spec.agent_id, spec.class_name, on_behalf)

    @contextlib.asynccontextmanager
    async def _bounded(
        self, agent_id: str, class_name: str, on_behalf: str, *, is_new: bool = True
    ) -> AsyncGenerator[None]:
        try:
            # Waiting for its turn does not count: after a power cut hundreds want to start at once.
            async with (
                self._turn(on_behalf, is_new=is_new),
                asyncio.timeout(self._settings.limits.start_timeout),
            ):
                yield
        except TimeoutError:
            raise HostError(
                f"paglet {agent_id} of class {class_name} was not ready within "
                f"{self._settings.limits.start_timeout:g} s; its module may be slow to import"
            ) from None
        except OSError as error:  # no descriptors left, for example
            raise HostError(f"paglet {agent_id} could not be given a process: {error}") from error

    async def _launch(self, spec: AdmitSpec, size: int) -> Child:
        child = await Child.launch(
            self._launcher,
            self._request(),
            agent_id=spec.agent_id,
            incarnation=spec.incarnation,
            owner=self,
            room=self.calls_room,
            prepares=Prepare(spec, size),
        )
        self._children.add(child)
        return child

    async def _admit(self, child: Child, state: Payload | None, *, gives_state: bool = False) -> Admitted:
        try:
            return await child.admit(state, gives_state=gives_state)
        except BaseException as error:
            self.end(child, grace=0)
            lost = child.outcome is not None and child.outcome.end is ChildEnd.LAUNCHER_LOST
            if lost and isinstance(error, PagletCrashedError):
                raise LauncherLostError(str(error)) from error
            raise

    async def inspect(self, state: Payload) -> bytes:
        """A stored state as JSON text, made by a process of its own."""
        try:
            async with self._turn():
                return await inspect_state(
                    self._launcher,
                    self._request(),
                    state,
                    limits=ChildLimits(memory_bytes=self._settings.limits.child_memory_bytes),
                    timeout=self._settings.limits.start_timeout,
                )
        except TimeoutError:
            raise HostError(
                "the state could not be read in time; it is very large, or the host very busy"
            ) from None

    async def describe(self, class_name: str) -> ClassFacts:
        """What a class says of itself; a process of its own imports it."""
        spec = self._spec(Life("(description)", Incarnation(), class_name, ""))
        limit = self._settings.limits.start_timeout
        try:
            async with self._turn(), asyncio.timeout(limit):
                return await describe_class(self._launcher, self._request(), spec)
        except TimeoutError:
            raise HostError(
                f"class {class_name} could not be looked at within {limit:g} s; its module may be slow to import"
            ) from None
        except OSError as error:
            raise HostError(f"class {class_name} could not be given a process: {error}") from error

    @contextlib.asynccontextmanager
    async def _turn(self, on_behalf: str = "", *, is_new: bool = True) -> AsyncGenerator[None]:
        """The turn to start a process; ``NoMemoryLeftError`` when it should not be started, being a new one."""
        self.starting += 1
        try:
            async with self._askers.take(on_behalf), self._starts:
                if is_new:
                    self.memory.check()
                yield
        finally:
            self.starting -= 1

    def _request(self) -> LaunchRequest:
        return LaunchRequest(life_file=str(self._life_file))

    def _spec(self, life: Life, state_json: msgspec.Raw | None = None) -> AdmitSpec:
        settings, limits = self._settings, self._settings.limits
        code = CodePolicy()
        if settings.code_paths is not None:
            roots = tuple(str(path) for path in settings.code_paths)
            code = CodePolicy(roots=roots, search=roots)
        extra = {} if state_json is None else {"state_json": bytes(state_json)}
        return AdmitSpec(
            agent_id=life.agent_id,
            incarnation=life.incarnation,
            class_name=life.class_name,
            state_class_name=life.state_class_name,
            limits=ChildLimits(memory_bytes=limits.child_memory_bytes),
            code=code,
            host_name=self._here.name,
            host_address=self._here.address,
            work_dir=str(self._work_dirs.path(life.agent_id, life.incarnation)),
            storage_dir=str(settings.data_dir / "storage" / safe_name(life.class_name)),
            storage_quota_bytes=settings.storage_quota_bytes,
            **extra,
        )

    def end(self, child: Child, *, grace: float) -> None:
        """Let a child finish within ``grace`` seconds, killed after; owned here until it is gone."""
        if child.outcome is not None:
            return
        task = asyncio.create_task(child.finish(grace) if grace else child.kill())
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def attend(self, child: Child) -> None:
        """Tell of the end of a child that ended before its life had begun, when there was nobody yet to hear of it."""
        if child.outcome is not None:
            self.on_exit(child, child.outcome)

    def end_lower(self, agent_id: str, lineage: Lineage) -> None:
        """Kill every child that runs that paglet in a lower lineage, whatever it is doing."""
        for child in self._children:
            if child.agent_id == agent_id and child.incarnation.lineage < lineage:
                self.end(child, grace=0)

    def _ended(self, task: asyncio.Task[ChildOutcome]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("ending a child failed", exc_info=error)

    async def aclose(self) -> None:
        """Kill every child and wait until they are gone, bounded."""
        self._closing = True
        for child in list(self._children):
            self.end(child, grace=0)
        if self._ending:
            await asyncio.wait(self._ending, timeout=self._settings.limits.end_grace)
        await self._launcher.aclose()

    async def quiet(self, timeout: float) -> None:
        """Wait until the children that were told to end are gone, at most ``timeout`` seconds."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=timeout)

    # --- what children report: the ChildOwner protocol

    def on_call(self, child: Child, call: Call) -> Awaitable[bytes]:
        """See ``ChildOwner``."""
        if self.switchboard is None:
            raise HostError("this host is not ready yet")
        return self.switchboard.call(child, call)

    def on_run_ended(self, child: Child, error: BaseException | None) -> None:
        """See ``ChildOwner``."""
        if error is not None:
            logger.warning("run() raised", extra={"agent_id": child.agent_id, "error": str(error)})
            self._events.emit(
                "message-failed",
                agent_id=child.agent_id,
                data={"where": "run"},
                error=f"run() raised: {error}",
            )

    def on_output(self, child: Child, lines: list[str]) -> None:
        """See ``ChildOwner``."""
        self._outputs.add(child.agent_id, lines)

    def on_exit(self, child: Child, outcome: ChildOutcome) -> None:
        """See ``ChildOwner``."""
        self._children.discard(child)
        self._residents.ended(child)
        resident = self._residents.get(child.agent_id)
        if resident is None or resident.child is not child:
            return
        resident.exit_code = outcome.status.code if outcome.status.signal is None else -outcome.status.signal
        if not self._closing and not outcome.wanted and self.on_crash is not None:
            with contextlib.suppress(asyncio.CancelledError):
                self.on_crash(child, outcome)
