"""A host for the tests of children: it answers what they ask, and remembers what they tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.errors import HostError, InvalidAgentError, PagletError
from paglets.core.incarnation import Incarnation
from paglets.persistence.records import HookKind
from paglets.remote.wire.pending import Pending
from paglets.runtime.child_specs import AdmitSpec, Admitted, Call, Message
from paglets.runtime.children.child import Child
from paglets.runtime.launchers.launcher import Launcher, LaunchRequest

if TYPE_CHECKING:
    from paglets.runtime.children.outcomes import ChildOutcome
    from paglets.runtime.children.requests import StateAfter
    from paglets.runtime.frames import Prepare
    from paglets.runtime.memory_files import Payload

SAMPLES = "tests.children.samples"
BOUND = 30.0

OnCall = Callable[[Child, Call], Awaitable[bytes]]


class TestHost:
    """The owner of the children of one test."""

    __test__ = False

    def __init__(self, launcher: Launcher, directory: Path) -> None:
        self.launcher = launcher
        self.directory = directory
        self.children: list[Child] = []
        self.calls: list[Call] = []
        self.lines: list[str] = []
        self.outcomes: dict[str, ChildOutcome] = {}
        self.run_ends: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self.on_method: dict[str, OnCall] = {}
        self.properties: dict[str, Any] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- as the owner

    async def on_call(self, child: Child, call: Call) -> bytes:
        self.calls.append(call)
        params = json.loads(call.params)
        if (answer := self.on_method.get(call.method)) is not None:
            return await answer(child, call)
        match call.method:
            case "host.set-property":
                self.properties[params["key"]] = params["value"]
                return b"{}"
            case "host.property":
                value = self.properties.get(params["key"])
                return json.dumps({"found": value is not None, "value": value}).encode()
            case "message.multicast":
                return b'{"agent_ids": ["one", "two"]}'
            case "message.send":
                return json.dumps(f"hello {params['agent_id']} {params['body']['args']}").encode()
            case "paglets.info":
                raise InvalidAgentError("there is none")
            case _:
                raise HostError(f"{call.method} is not for tests")

    def on_run_ended(self, child: Child, error: BaseException | None) -> None:
        self.run_ends.put_nowait(error)

    def on_output(self, child: Child, lines: list[str]) -> None:
        self.lines += lines
        self._tell()

    def on_exit(self, child: Child, outcome: ChildOutcome) -> None:
        assert child.agent_id not in self.outcomes, "on_exit came twice"
        self.outcomes[child.agent_id] = outcome
        self._tell()

    def _tell(self) -> None:
        async def tell() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait, bounded, until output or an exit makes the condition true."""
        async with asyncio.timeout(BOUND), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    # --- what tests do

    def spec(self, class_name: str = "Notes", agent_id: str = "agent", **fields: Any) -> AdmitSpec:
        name = class_name if ":" in class_name else f"{SAMPLES}:{class_name}"
        return AdmitSpec(
            agent_id=agent_id,
            incarnation=Incarnation(),
            class_name=name,
            host_name="here",
            host_address="https://here:8765",
            work_dir=str(self.directory / "work" / agent_id),
            storage_dir=str(self.directory / "storage"),
            **fields,
        )

    async def launch(
        self, agent_id: str = "agent", *, prepares: Prepare | None = None, **request: Any
    ) -> Child:
        child = await Child.launch(
            self.launcher,
            LaunchRequest(**request),
            agent_id=agent_id,
            incarnation=Incarnation(),
            owner=self,
            prepares=prepares,
        )
        self.children.append(child)
        return child

    async def admitted(
        self, class_name: str = "Notes", agent_id: str = "agent", state: Payload | None = None, **fields: Any
    ) -> Child:
        child = await self.launch(agent_id)
        async with asyncio.timeout(BOUND):
            admitted = await admit(child, self.spec(class_name, agent_id, **fields), state)
        assert isinstance(admitted, Admitted)
        return child

    async def created(self, class_name: str = "Notes", agent_id: str = "agent", **fields: Any) -> Child:
        child = await self.admitted(class_name, agent_id, **fields)
        async with asyncio.timeout(BOUND):
            await child.run_hook(HookKind.CREATION, {})
        return child

    async def aclose(self) -> None:
        for child in self.children:
            await child.kill()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def admit(child: Child, spec: AdmitSpec, state: Payload | None = None) -> Admitted:
    """Bring a paglet to life in a child that holds none yet."""
    child.prepare(spec, state.size if state is not None else 0)
    return await child.admit(state)


async def send(child: Child, kind: str, arg: Any = None, **args: Any) -> Any:
    """Deliver a message, bounded; the reply as a value."""
    body = json.dumps({"args": args, "arg": arg}).encode()
    async with asyncio.timeout(BOUND):
        return json.loads(await deliver(child, Message(kind=kind, message_id="m", body=body)))


async def deliver(child: Child, message: Message) -> bytes:
    """Have a message handled; the reply as JSON text, or what was raised."""
    reply: Pending[bytes] = Pending()

    def came(result: bytes | PagletError, after: StateAfter | None) -> None:
        if after is not None:
            after.payload.close()
        if reply.done():
            return  # whoever waited has left
        if isinstance(result, PagletError):
            reply.set_exception(result)
        else:
            reply.set_result(result)

    await child.until_it_takes_messages()
    child.hand(message, came)
    return await reply


def open_descriptors(pid: int | None = None) -> int:
    """How many descriptors a process, or this one, has open."""
    return sum(1 for _ in Path(f"/proc/{pid or 'self'}/fd").iterdir())


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(condition: Callable[[], object], bound: float = BOUND) -> None:
    """Wait, bounded, for something that tells nobody when it happens."""
    async with asyncio.timeout(bound):
        while not condition():  # noqa: ASYNC110 - see below
            await asyncio.sleep(0.005)  # a process that ends tells only its parent
