"""Hosts of one mesh, each a process of its own with default settings, and what they take of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import psutil

from paglets.remote import api
from paglets.remote.client import HostClient
from paglets.remote.proxy import PagletProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

HERE = Path(__file__).resolve().parent
CLASS = "bench_agents:Load"
PATIENCE = 60.0


class Site:
    """A mesh that goes with its folder."""

    def __init__(self, program: Sequence[str], root: Path) -> None:
        self.client = HostClient(60.0, mesh_dir=root / "mesh")
        self.addresses: dict[str, str] = {}
        self._program = list(program)
        self._root = root
        self._processes: dict[str, subprocess.Popen[str]] = {}
        (root / "run").mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self, name: str) -> float:
        """Start a host; the seconds until it is ready."""
        environ = {
            **os.environ,
            "PAGLETS_MESH_DIR": str(self._root / "mesh"),
            "XDG_RUNTIME_DIR": str(self._root / "run"),
        }
        begun = time.perf_counter()
        process = subprocess.Popen(
            [
                *self._program, "host", "--json", "--name", name, "--data-dir", str(self._root / name),
                "--port", "0", "--bind", "127.0.0.1", "--code-path", str(HERE),
            ],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._processes[name] = process
        if process.stdout is None:
            raise AssertionError("the host was started with a pipe")
        status = json.loads(process.stdout.readline())
        taken = time.perf_counter() - begun
        self.addresses[name] = status["address"]
        return taken

    def wait_until_known(self, count: int) -> None:
        """Until each host knows so many, itself among them."""
        for url in self.addresses.values():
            wait_until(lambda url=url: self._known(url) >= count)

    def wait_until_knows(self, name: str, count: int) -> None:
        """Until that host knows so many, itself among them."""
        wait_until(lambda: self._known(self.addresses[name]) >= count)

    def _known(self, url: str) -> int:
        raw = self.client.call(url, api.HOSTS_LIST, api.HostsListParams(online_only=True))
        return len(msgspec.json.decode(raw)["hosts"])

    def create(self, name: str) -> PagletProxy:
        """A new paglet at a host."""
        raw = self.client.call(self.addresses[name], api.PAGLETS_CREATE, api.CreateParams(class_name=CLASS))
        return PagletProxy.from_wire(msgspec.json.decode(raw), self.client)

    def family(self, name: str) -> list[psutil.Process]:
        """All processes of a host."""
        host = psutil.Process(self._processes[name].pid)
        return [host, *host.children(recursive=True)]

    def close(self) -> None:
        """End the hosts, in order."""
        self.client.close()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def wait_until(met: Callable[[], bool]) -> None:
    """Look again and again, at most ``PATIENCE`` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError("the hosts did not come to it in time")
        time.sleep(0.005)


def pss_mib(processes: Sequence[psutil.Process]) -> float:
    """Proportional memory of all of them together."""
    total: Any = 0
    for process in processes:
        total += process.memory_full_info().pss
    return total / 1024**2


def cpu_seconds(processes: Sequence[psutil.Process]) -> dict[int, float]:
    """Processor time that each of them has used, by process id; not of those that have ended."""
    return _of_each(processes, lambda process: sum(process.cpu_times()[:2]))


def bytes_written(processes: Sequence[psutil.Process]) -> dict[int, float]:
    """What each of them has sent to a disk, by process id; not of those that have ended."""
    return _of_each(processes, lambda process: process.io_counters().write_bytes)


def since(before: dict[int, float], now: dict[int, float]) -> float:
    """What came on top, of those that are still there."""
    return sum(value - before[pid] for pid, value in now.items())


def _of_each(
    processes: Sequence[psutil.Process], look: Callable[[psutil.Process], float]
) -> dict[int, float]:
    found: dict[int, float] = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found[process.pid] = look(process)
    return found
