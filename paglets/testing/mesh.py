"""A mesh of real hosts in one program, for tests: processes, sockets, TLS and disks are those of every day."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

from paglets.core.errors import PagletError
from paglets.remote.wire.addresses import parse_host_url
from paglets.runtime.host import Host
from paglets.runtime.launchers.keeper import shared_keeper
from paglets.testing.host_thread import HostThread
from paglets.testing.store import FaultyStore
from paglets.testing.switchboard import Switchboard, SwitchedEventLoop
from paglets.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from paglets.remote.discovery import Discovery
    from paglets.runtime.launchers.launcher import Launcher
    from paglets.runtime.settings import Limits
    from paglets.testing.points import Points

T = TypeVar("T")

_MEET_SECONDS = 15.0


class HostOptions(TypedDict, total=False):
    """What ``start`` hands to ``Host``; it says what each is. Directories and trust are the mesh's business."""

    host: str
    port: int
    public_url: str | None
    mesh: bool
    peers: Iterable[str]
    """Instead of all hosts that run."""
    mesh_version: str | None
    mesh_gossip_interval: float
    mesh_offline_after: float
    persistent_storage_quota_bytes: int
    tags: Iterable[str]
    properties: Mapping[str, Any]
    launcher: Launcher
    discoveries: Sequence[Discovery]
    code_paths: Iterable[str | Path]
    limits: Limits


@dataclasses.dataclass(slots=True)
class _Member:
    """One host of the mesh: how it is started, and what runs."""

    options: HostOptions
    points: Points | None
    running: HostThread | None = None


class LocalMesh:
    """Hosts that trust and know each other, in a directory of their own; used in a ``with`` statement.

        with LocalMesh() as mesh:
            hall, roof = mesh.start("hall"), mesh.start("roof")

    Without ``root`` the directory is a temporary one that goes at the end. At the end, also of a test that fails,
    every host is stopped and every process has ended. All hosts fork their paglets off one process. The mesh
    directory of the user is neither read nor written. ``options`` hold for all hosts that do not say otherwise;
    heartbeats are quicker than those of real hosts, so that the dead are missed within seconds.

    Calls of a test come from a thread that is no host's; tests that are asynchronous use ``asyncio.to_thread``.
    """

    def __init__(self, root: Path | None = None, **options: Unpack[HostOptions]) -> None:
        self._given_root = root
        self._options: HostOptions = {"mesh_gossip_interval": 0.2, "mesh_offline_after": 2.0, **options}
        self._members: dict[str, _Member] = {}
        self._switchboard = Switchboard()
        self._root: Path | None = None
        self._clean_up = ExitStack()

    def __enter__(self) -> Self:
        if self._root is not None:
            raise RuntimeError("a LocalMesh is used once")
        with ExitStack() as stack:
            if self._given_root is None:
                self._root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paglets-mesh-")))
            else:
                self._root = self._given_root
                self._root.mkdir(parents=True, exist_ok=True)
            keeper = shared_keeper()
            keeper.acquire()  # so that it stays warm while no host runs
            stack.callback(keeper.release)
            self._clean_up = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._clean_up, ExitStack() as stack:
            for name in self._members:  # the last one started is stopped first
                stack.callback(self.stop, name)

    # --- what there is -----------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Below this everything is."""
        if self._root is None:
            raise RuntimeError("a LocalMesh is used in a with statement")
        return self._root

    @property
    def mesh_dir(self) -> Path:
        """The mesh directory: for a ``HostClient(mesh_dir=...)`` beside the hosts."""
        return self.root / "mesh"

    def directory(self, name: str) -> Path:
        """Where that host keeps its data."""
        return self.root / "hosts" / name

    @property
    def hosts(self) -> dict[str, Host]:
        """The hosts that run, by name, in the order of their first start."""
        running = {name: member.running for name, member in self._members.items()}
        return {name: each.host for name, each in running.items() if each is not None and each.runs}

    def __getitem__(self, name: str) -> Host:
        """The host of that name that runs; ``KeyError`` when none does."""
        return self.hosts[name]

    def places(self, agent_id: str) -> list[str]:
        """Names of the running hosts that have that paglet, active or not: one, unless it is on its way."""
        return [
            name
            for name, host in self.hosts.items()
            if any(entry["agent_id"] == agent_id for entry in host.list_agents(inactive=True))
        ]

    # --- hosts -------------------------------------------------------------------------------------------

    def start(
        self, name: str, *, meet: bool = True, points: Points | None = None, **options: Unpack[HostOptions]
    ) -> Host:
        """Start a host, or start one again that was stopped: with the data and the port that it had.

        Its peers are the hosts that run; with ``meet`` this returns when it and they know each other, as far as
        they can. With ``points`` its store is a ``FaultyStore``. ``ValueError`` when it runs already.
        """
        if name in self.hosts:
            raise ValueError(f"host {name} runs already; to start it again, use restart()")
        before = self._members.get(name)
        merged: HostOptions = {**self._options, **options}
        if before is not None:
            self.stop(name)  # when somebody has called its own stop(), its thread is left to end
            merged.setdefault("port", before.options.get("port", 0))
        return self._start(name, _Member(merged, points), meet=meet)

    def restart(self, name: str, *, meet: bool = True) -> Host:
        """Cut its power, politely, and start it again as it was started; the new ``Host``.

        What was not durable is gone, and active paglets come back from their checkpoints.
        """
        self.stop(name)
        return self._start(name, self._members[name], meet=meet)

    def stop(self, name: str) -> None:
        """Stop a host: nothing of it runs afterwards, its data stays. No harm when it does not run."""
        running, self._members[name].running = self._members[name].running, None
        if running is not None:
            running.stop()

    def _start(self, name: str, member: _Member, *, meet: bool) -> Host:
        peers = [host.address for host in self.hosts.values()]
        host = self._make(name, member.points, {"peers": peers, **member.options})
        running = HostThread(host, functools.partial(SwitchedEventLoop, name, self._switchboard))
        running.start()
        member.running = running
        member.options["port"] = parse_host_url(host.address).port
        self._members[name] = member
        self._switchboard.register(name, member.options["port"])
        if meet:
            self.wait_until(lambda: self._has_met(name), within=_MEET_SECONDS)
        return host

    def _make(self, name: str, points: Points | None, options: HostOptions) -> Host:
        directory = self.directory(name)
        make = functools.partial(
            Host,
            name,
            mesh_dir=self.mesh_dir,
            persistence_dir=directory,
            mesh_lan_discovery=False,  # a test says who knows whom
            **options,
        )
        if points is None:
            return make()
        directory.mkdir(parents=True, exist_ok=True)
        store = FaultyStore(directory / "store", points)
        try:
            return make(store=store)
        except BaseException:
            store.close()
            raise

    def _has_met(self, name: str) -> bool:
        """Whether a host and all others see each other, of those that can and may."""
        reached = [other for each, other in self.hosts.items() if self._switchboard.is_up(name, each)]
        return all(_have_met(self[name], other) for other in reached)

    # --- links -------------------------------------------------------------------------------------------

    def cut(self, a: str, b: str) -> None:
        """Break the connections between two hosts, and refuse new ones; both notice at once that they are broken.

        Each still reaches the others, who tell it that the other one lives.
        """
        self._switchboard.cut(a, b)

    def heal(self, a: str, b: str) -> None:
        """Let the two reach each other again; they try by themselves, within some heartbeats."""
        self._switchboard.heal(a, b)

    # --- waiting -----------------------------------------------------------------------------------------

    def wait_until(self, condition: Callable[[], T], *, within: float = 10.0) -> T:
        """Wait until the condition is true; what it gave. ``AssertionError`` past that, with what runs where."""
        return wait_until(condition, within=within, otherwise=self._tell)

    def _tell(self) -> str:
        return "\n".join(f"{name}: {_seen(host)}" for name, host in self.hosts.items())


def _have_met(host: Host, other: Host) -> bool:
    """Whether they see each other, or never will."""
    ours, theirs = host.settings, other.settings
    if not (ours.mesh and theirs.mesh) or ours.mesh_version != theirs.mesh_version:
        return True
    return host.mesh.is_online(other.address) and other.mesh.is_online(host.address)


def _seen(host: Host) -> str:
    try:
        known = [f"{ref.name}{'' if ref.online else ' (offline)'}" for ref in host.list_hosts()]
        paglets = [f"{each['agent_id']} {each['status']}" for each in host.list_agents(inactive=True)]
    except PagletError as error:
        return f"{error}"
    return f"knows {', '.join(known)}; has {', '.join(paglets) or 'no paglets'}"
