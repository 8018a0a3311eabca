"""Hosts of one mesh on loopback, with real certificates, and what a test needs to look at them."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import InvalidAgentError
from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.control_server import Operation, SubscriptionOperation
from paglets.remote.wire.listener import Listener
from paglets.remote.wire.member_trust import MemberTrust
from paglets.remote.wire.peer import Peer, PeerKind
from paglets.remote.wire.pending import Pending
from paglets.remote.wire.pending import settled as settled_with
from paglets.remote.wire.pool import Hello, LinkPool
from paglets.remote.wire.settings import WireSettings
from paglets.remote.wire.strangers import SecurityReport, ignore_security
from paglets.remote.wire.subscriptions import Push

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

    from paglets.remote.wire.reads import Query
    from paglets.remote.wire.stream_server import IncomingStream, StreamHandler

QUICK = WireSettings(security_interval=0.0)


class EchoParams(msgspec.Struct):
    value: msgspec.Raw = msgspec.Raw(b"null")


class NumberParams(msgspec.Struct):
    number: int


class Sink:
    """Takes transfers, counts their bytes, and answers with the count and the trailer."""

    def __init__(self) -> None:
        self.headers: list[bytes] = []
        self.received: list[int] = []

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        self.headers.append(stream.header)
        async for chunk in stream:
            assert chunk
        self.received.append(stream.received)
        return b'{"received":%d,"trailer":%b}' % (stream.received, stream.trailer)


@dataclass
class Rig:
    """One host's doors, with operations that tests use."""

    mesh: MeshDirectory
    directory: Path
    key: HostKey = field(default_factory=HostKey.generate)
    settings: WireSettings = QUICK
    sink: StreamHandler = field(default_factory=Sink)
    reports: list[SecurityReport] = field(default_factory=list[SecurityReport])
    reported: asyncio.Condition = field(default_factory=asyncio.Condition)
    opened: bool = True
    ready: bool = True
    running: set[str] = field(default_factory=set[str])
    release: asyncio.Event = field(default_factory=asyncio.Event)
    pushes: list[Push] = field(default_factory=list[Push])
    stopped: int = 0
    served: int = 0
    listener: Listener = field(init=False)

    @property
    def trust(self) -> MemberTrust:
        return MemberTrust(MeshCredentials.for_host(self.mesh, self.key, "rig"))

    @property
    def address(self) -> HostAddress:
        return HostAddress(self.listener.urls[0], self.key.host_id)

    @property
    def socket_url(self) -> str:
        return f"unix:{self.directory / 'run' / 'rig.sock'}"

    async def start(self, binds: tuple[str, ...] = ("127.0.0.1",), port: int = 0) -> None:
        self.listener = Listener(
            self.trust,
            operations=self.operations(),
            reads=self.reads(),
            streams=self.sink,
            security=self.reports.append,
            opened=lambda: self.opened,
            ready=lambda: self.ready,
            settings=self.settings,
        )
        await self.listener.start(binds, port, socket_path=self.directory / "run" / "rig.sock")

    def operations(self) -> Mapping[str, Operation | SubscriptionOperation]:
        return {
            "echo": Operation(EchoParams, self.echo),
            "echo.future": Operation(EchoParams, self.echo_future),
            "echo.settled": Operation(EchoParams, self.echo_settled),
            "count": Operation(EchoParams, self.count),
            "whoami": Operation(EchoParams, self.whoami),
            "fail": Operation(EchoParams, self.fail),
            "crash": Operation(EchoParams, self.crash),
            "wait": Operation(EchoParams, self.wait),
            "wait.large": Operation(NumberParams, self.wait_large),
            "members.only": Operation(EchoParams, self.echo, frozenset({PeerKind.MEMBER})),
            "double": Operation(NumberParams, self.double),
            "bad.raw": Operation(EchoParams, self.bad_raw),
            "events": SubscriptionOperation(EchoParams, self.subscribe, "event"),
        }

    def reads(self) -> Mapping[str, Callable[[Query], Awaitable[Any]]]:
        return {
            "/health": self.read_health,
            "/agents": self.read_agents,
            "/agents/{agent_id}": self.read_agent,
            "/agents/{agent_id}/state": self.read_agent,
            "/broken": self.read_broken,
            "/large": self.read_large,
            "/slow": self.read_slow,
        }

    async def echo(self, peer: Peer, params: EchoParams) -> msgspec.Raw:
        return params.value

    def echo_future(self, peer: Peer, params: EchoParams) -> asyncio.Future[msgspec.Raw]:
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        answer.set_result(params.value)
        return answer

    def echo_settled(self, peer: Peer, params: EchoParams) -> Pending[msgspec.Raw]:
        return settled_with(params.value)

    async def count(self, peer: Peer, params: EchoParams) -> msgspec.Raw:
        self.served += 1
        return params.value

    async def whoami(self, peer: Peer, params: EchoParams) -> Peer:
        return peer

    async def fail(self, peer: Peer, params: EchoParams) -> None:
        raise InvalidAgentError("no paglet 'x' here")

    async def crash(self, peer: Peer, params: EchoParams) -> None:
        raise ZeroDivisionError("a mistake of the host")

    async def wait(self, peer: Peer, params: EchoParams) -> str:
        name = str(len(self.running))
        self.running.add(name)
        try:
            await self.release.wait()
        finally:
            self.running.discard(name)
        return "released"

    async def wait_large(self, peer: Peer, params: NumberParams) -> str:
        await self.release.wait()
        return "x" * params.number

    async def double(self, peer: Peer, params: NumberParams) -> dict[str, int]:
        return {"double": 2 * params.number}

    async def bad_raw(self, peer: Peer, params: EchoParams) -> msgspec.Raw:
        return msgspec.Raw(b'{}, "id": 7')

    def subscribe(self, peer: Peer, params: EchoParams, push: Push) -> Callable[[], None]:
        self.pushes.append(push)

        def stop() -> None:
            self.pushes.remove(push)
            self.stopped += 1

        return stop

    async def read_health(self, query: Query) -> dict[str, Any]:
        return {"name": "rig", "peer": query.peer.kind.value}

    async def read_agents(self, query: Query) -> dict[str, Any]:
        first = int(query.cursor or 0)
        last = min(first + query.limit, 5000)
        return {
            "agents": list(range(first, last)),
            "state": query.choice("state", ("active", "inactive", "all")),
            "cursor": str(last) if last < 5000 else None,
        }

    async def read_agent(self, query: Query) -> dict[str, str]:
        if query.path["agent_id"] != "known/one":
            raise InvalidAgentError(f"no paglet {query.path['agent_id']!r} here")
        return {"agent_id": query.path["agent_id"]}

    async def read_broken(self, query: Query) -> None:
        raise ZeroDivisionError("a mistake of the host")

    async def read_large(self, query: Query) -> str:
        return "x" * query.integer("size", 1)

    async def read_slow(self, query: Query) -> None:
        await self.release.wait()


@dataclass
class Site:
    """A mesh, another mesh, and the hosts that a test starts in them."""

    directory: Path
    stack: AsyncExitStack

    def __post_init__(self) -> None:
        self.mesh = MeshDirectory(self.directory / "mesh")
        self.other_mesh = MeshDirectory(self.directory / "other-mesh")
        self._rigs = 0

    async def rig(self, **changes: Any) -> Rig:
        """A started host with those settings."""
        self._rigs += 1
        settings = dataclasses.replace(QUICK, **changes)
        rig = Rig(self.mesh, self.directory / str(self._rigs), settings=settings)
        await rig.start()
        self.stack.push_async_callback(rig.listener.close)
        return rig

    def member(self, mesh: MeshDirectory | None = None) -> MemberTrust:
        """The trust of a fresh host."""
        return MemberTrust(MeshCredentials.for_host(mesh or self.mesh, HostKey.generate(), "caller"))

    def admin(self) -> MemberTrust:
        return MemberTrust(MeshCredentials.for_admin(self.mesh, "ada"))

    def pool(
        self,
        trust: MemberTrust | None = None,
        *,
        hello: Hello | None = None,
        reports: list[SecurityReport] | None = None,
        **changes: Any,
    ) -> LinkPool:
        """A calling side, closed with the test."""
        security = reports.append if reports is not None else ignore_security
        pool = LinkPool(
            trust or self.member(),
            hello=hello,
            security=security,
            settings=dataclasses.replace(QUICK, **changes),
        )
        self.stack.push_async_callback(pool.close)
        return pool


@asynccontextmanager
async def open_site(directory: Path) -> AsyncGenerator[Site]:
    """A site whose tasks, sockets and files are all gone afterwards."""
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        yield Site(directory, stack)
    mine = asyncio.current_task()
    await until(lambda: all(task in before or task is mine for task in asyncio.all_tasks()))


async def until(holds: Callable[[], object], bound: float = 5.0) -> None:
    """Look again and again whether a condition holds, with a bound."""
    async with asyncio.timeout(bound):
        for _ in itertools.count():
            if holds():
                return
            await asyncio.sleep(0.005)


async def settled(value: Callable[[], int], quiet: float = 0.2) -> int:
    """Wait until a number has not changed for a while."""
    clock = asyncio.get_running_loop().time
    seen, since = value(), clock()

    def is_quiet() -> bool:
        nonlocal seen, since
        if value() != seen:
            seen, since = value(), clock()
        return clock() - since >= quiet

    await until(is_quiet, 10)
    return seen


def echo(text: str) -> EchoParams:
    """Parameters that carry a text."""
    return EchoParams(msgspec.Raw(msgspec.json.encode(text)))


NOTHING = EchoParams()
