"""A site of real host processes that can be killed at will, and the count of the paglets that are left."""

from __future__ import annotations

import concurrent.futures
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import psutil

from paglets.core.errors import PagletError
from paglets.core.messages import Message
from paglets.remote import api
from paglets.remote.client import HostClient
from paglets.remote.proxy import PagletProxy
from paglets.serialization.codec import qualified_name
from paglets.testing.points import Points
from tests.faults.agents import Traveller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
_PORTS = (20_000, 32_000)
"""Below those that connections get (net.ipv4.ip_local_port_range)."""
START_SECONDS = 20.0
SETTLE_SECONDS = 20.0
TRAVELLER = qualified_name(Traveller)


def eventually(
    condition: Callable[[], T], *, within: float = SETTLE_SECONDS, what: Callable[[], Any] = str
) -> T:
    """Wait until the condition is true; what it gave. ``what`` tells how it was at the end, if not."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {within:g} s: {what()}"
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class Copy:
    """One paglet as one host shows it."""

    host: str
    agent_id: str
    status: str
    epoch: int
    pid: int | None

    @property
    def lives(self) -> bool:
        return self.status in {"active", "inactive", "failed"}


class Node:
    """One host: its directory, its port, and its process while it runs."""

    def __init__(self, name: str, root: Path, peers: list[str]) -> None:
        self.name = name
        self.data_dir = root / name
        self.port = _free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.points = Points(root / f"{name}.points")
        self.points.prepare()
        self.process: subprocess.Popen[str] | None = None
        self.zygote = 0
        self._log = root / f"{name}.log"
        self._options = {
            "name": name,
            "data_dir": str(self.data_dir),
            "port": self.port,
            "peers": peers,
            "mesh_dir": str(root / "mesh"),
            "points": str(self.points.directory),
        }

    # --- its process

    def begin(self) -> None:
        """Start it, without waiting until it is ready."""
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.driver", json.dumps(self._options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Until it can be called."""
        said = json.loads(self._line(START_SECONDS))
        assert said["ready"] == self.url
        self.zygote = said["zygote"]

    def start(self) -> None:
        """Start it and wait until it can be called."""
        self.begin()
        self.wait_ready()

    def kill(self) -> None:
        """SIGKILL, as a power cut would; its children are left to themselves."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        self.points.clear()

    def wait_hung_up(self, other: Node) -> None:
        """Until the system has told it that its connections to a host that was killed are gone."""
        assert self.process is not None
        process = psutil.Process(self.process.pid)

        def is_so() -> bool:
            return not any(
                each.status == psutil.CONN_ESTABLISHED and each.raddr and each.raddr.port == other.port
                for each in process.net_connections("tcp")
            )

        eventually(is_so, within=10.0)

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    def order(self, command: str) -> None:
        """``stop`` or ``shutdown``: it begins to end in order."""
        assert self.process is not None
        assert self.process.stdin is not None
        print(command, file=self.process.stdin, flush=True)

    def wait_stopped(self, within: float = 20.0) -> None:
        """Until its process has ended by itself."""
        assert self.process is not None
        assert self.process.wait(within) == 0
        self.kill()

    def end(self) -> None:
        """Leave nothing of it: kill the host, its zygote and whatever they have started."""
        family = self.family()
        self.kill()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        eventually(lambda: not any(alive(process.pid) for process in family), within=10.0)

    def family(self) -> list[psutil.Process]:
        """Every process that it has started, directly or not."""
        found: list[psutil.Process] = []
        for pid in (self.process.pid if self.process else 0, self.zygote):
            with suppress(psutil.NoSuchProcess):
                if pid:
                    parent = psutil.Process(pid)
                    found += [parent, *parent.children(recursive=True)]
        return list(dict.fromkeys(found))

    def zygotes(self) -> list[psutil.Process]:
        """The zygote that its children are forked from now; two for a moment, when one has died."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children() if self.process else []
        return []

    def children(self) -> set[int]:
        """Process ids of its children."""
        found: set[int] = set()
        for zygote in self.zygotes():
            with suppress(psutil.NoSuchProcess):
                found |= {each.pid for each in zygote.children() if _is_at_work(each)}
        return found

    def _line(self, within: float) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(within), f"host {self.name} says nothing:\n{self.log()}"
        line = self.process.stdout.readline()
        assert line, f"host {self.name} has ended:\n{self.log()}"
        return line

    def log(self) -> str:
        """The end of what it has logged."""
        return self._log.read_text()[-4000:]

    # --- its points

    def hold(self, *names: str) -> None:
        """Arm points."""
        for name in names:
            self.points.arm(name)

    def hold_all(self, name: str) -> None:
        """Arm a point for everybody who comes by."""
        self.points.arm_for_all(name)

    def reached(self, name: str, within: float = 10.0) -> None:
        """Wait until somebody waits at that point."""
        eventually(lambda: self.points.is_reached(name), within=within, what=lambda: f"{name}\n{self.log()}")

    def fail(self, name: str, error: int) -> None:
        """Have the next that comes by that point fail, as if the system had said so."""
        self.points.arm(name, error=error)

    def let_go(self, name: str) -> None:
        """Let who waits there go on."""
        self.points.release(name)


class Site:
    """Some hosts of one mesh, and a client for all of them."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.nodes: dict[str, Node] = {}
        for name in names:
            self.nodes[name] = Node(name, root, [node.url for node in self.nodes.values()])
        self.client = HostClient(mesh_dir=root / "mesh", timeout=30.0)
        self._threads = concurrent.futures.ThreadPoolExecutor(16, "asking")

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def start(self) -> None:
        """Start all hosts, and wait until they know each other."""
        first, *others = self.nodes.values()
        first.start()  # it makes the mesh
        for node in others:
            node.begin()
        for node in others:
            node.wait_ready()
        self.wait_met()

    def wait_met(self) -> None:
        """Until every host that runs sees every other one."""
        running = {node.name for node in self.nodes.values() if node.process}

        def met() -> bool:
            return all(
                {
                    host["name"]
                    for host in self.ask(name, api.HOSTS_LIST, api.HostsListParams(online_only=True))["hosts"]
                }
                >= running
                for name in running
            )

        eventually(met, within=10.0)

    def close(self) -> None:
        """Leave nothing of it."""
        for node in self.nodes.values():
            node.points.clear()
        self.client.close()
        for node in self.nodes.values():
            node.end()
        self._threads.shutdown(cancel_futures=True)

    # --- what can be asked

    def ask(self, name: str, method: str, params: msgspec.Struct, timeout: float = 20.0) -> Any:
        """Call an operation of a host."""
        return msgspec.json.decode(self.client.call(self.nodes[name].url, method, params, timeout=timeout))

    def soon(self, work: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Do something beside the test; what it raises is kept for who asks."""
        return self._threads.submit(work)

    def create(self, name: str, **state: Any) -> str:
        """A traveller on that host; its id."""
        params = api.CreateParams(class_name=TRAVELLER, state=msgspec.Raw(msgspec.json.encode(state)))
        return self.ask(name, api.PAGLETS_CREATE, params)["agent_id"]

    def proxy(self, name: str, agent_id: str) -> PagletProxy:
        """A handle to a paglet, by way of that host."""
        return PagletProxy(self.nodes[name].url, agent_id, self.client)

    def tell(self, name: str, agent_id: str, kind: str, /, **args: Any) -> Any:
        """Send a message by way of that host; the reply."""
        return self.proxy(name, agent_id).send(Message(kind, args), timeout=25.0)

    # --- counting

    def copies(self, agent_id: str | None = None) -> list[Copy]:
        """What all running hosts show, of one paglet or of all."""
        found: list[Copy] = []
        for node in self.nodes.values():
            if node.process is None:
                continue
            cursor: str | None = ""
            while cursor is not None:
                page = self.ask(
                    node.name, api.PAGLETS_LIST, api.PagletsListParams(state="all", cursor=cursor)
                )
                found += [
                    Copy(node.name, each["agent_id"], each["status"], each["epoch"], each["pid"])
                    for each in page["agents"]
                    if agent_id in {None, each["agent_id"]}
                ]
                cursor = page.get("cursor")
        return found

    def transfers(self) -> list[dict[str, Any]]:
        """What is under way or in doubt, on all running hosts."""
        return [
            {"at": node.name, **transfer}
            for node in self.nodes.values()
            if node.process is not None
            for transfer in self.ask(node.name, api.TRANSFERS_LIST, api.NoParams())["transfers"]
        ]

    def settled(self, agent_id: str, *, within: float = SETTLE_SECONDS) -> Copy:
        """Wait until all is settled; the one copy that there is then. None, two, or no end of it fail."""
        self.at_rest(within=within)
        copies = self.copies(agent_id)
        assert len(copies) == 1, f"{agent_id}: {copies}\n{self.logs()}"
        return copies[0]

    def settled_as(self, status: str, agent_id: str) -> Copy:
        """The same, once it has that status: after a restart, a paglet is woken in its turn."""
        found: list[Copy] = []

        def is_so() -> bool:
            found[:] = [self.settled(agent_id)]
            return found[0].status == status

        eventually(is_so, what=lambda: f"{found}\n{self.logs()}")
        return found[0]

    def at_rest(self, *, within: float = SETTLE_SECONDS) -> None:
        """Wait until no transfer is under way, and each paglet that shall run does."""

        def rest() -> bool:
            try:
                return not self.transfers() and all(copy.lives and _ready(copy) for copy in self.copies())
            except PagletError:
                return False

        def now() -> str:
            with suppress(PagletError):
                return f"{self.transfers()}\n{self.copies()}\n{self.logs()}"
            return self.logs()

        eventually(rest, within=within, what=now)

    def only_their_processes(self) -> None:
        """Wait until the processes that run are those of the paglets that are shown, and no others."""

        def same() -> bool:
            shown = {copy.pid for copy in self.copies() if copy.pid is not None}
            running = set[int]().union(*(node.children() for node in self.nodes.values() if node.process))
            return shown == running

        eventually(
            same, within=10.0, what=lambda: (self.copies(), [node.children() for node in self.nodes.values()])
        )

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {node.name}\n{node.log()}" for node in self.nodes.values())


def _is_at_work(child: psutil.Process) -> bool:
    """Whether it is some host's child: not one that a zygote keeps ready, which holds no life file yet."""
    with suppress(psutil.Error):
        return child.status() != psutil.STATUS_ZOMBIE and any(
            Path(each.path).name == "children.lock" for each in child.open_files()
        )
    return False


def _ready(copy: Copy) -> bool:
    return copy.status != "active" or copy.pid is not None


def _free_port() -> int:
    """One that the system gives to nobody who does not ask for it: a host that starts again finds it free."""
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def alive(pid: int) -> bool:
    """Whether a process runs (or is stopped), zombies apart."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def kill(pid: int | None) -> None:
    """SIGKILL to one process."""
    assert pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
