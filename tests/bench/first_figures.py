"""First figures: what the program costs, taken from real host processes with default settings.

    .venv/bin/python tests/bench/first_figures.py [--paglets build/dist/paglets/paglets]

Prints medians. Nothing here is a test: timings are for people, and to be compared within one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.messages import Message
from paglets.remote import api
from paglets.remote.client import HostClient
from paglets.remote.proxy import PagletProxy

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
CLASS = "bench_agents:Load"


class Site:
    """Hosts of one mesh, each a process of its own."""

    def __init__(self, program: list[str], root: Path) -> None:
        self.program = program
        self.root = root
        self.environ = {
            **os.environ,
            "PAGLETS_MESH_DIR": str(root / "mesh"),
            "XDG_RUNTIME_DIR": str(root / "run"),
        }
        (root / "run").mkdir(mode=0o700)
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str) -> tuple[dict[str, Any], float]:
        """Start a host; what it says when it is ready, and the seconds until then."""
        begun = time.perf_counter()
        process = subprocess.Popen(
            [
                *self.program, "host", "--json", "--name", name, "--data-dir", str(self.root / name),
                "--port", "0", "--bind", "127.0.0.1", "--code-path", str(HERE),
            ],
            env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.processes[name] = process
        if process.stdout is None:
            raise AssertionError("the host was started with a pipe")
        status = json.loads(process.stdout.readline())
        return status, time.perf_counter() - begun

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(20)


def create(client: HostClient, url: str) -> PagletProxy:
    raw = client.call(url, api.PAGLETS_CREATE, api.CreateParams(class_name=CLASS))
    return PagletProxy.from_wire(msgspec.json.decode(raw), client)


def median(times: int, work: Callable[[], object]) -> float:
    taken: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def pss(pid: int) -> float:
    """Proportional memory in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def written(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def known(client: HostClient, url: str) -> int:
    return len(
        msgspec.json.decode(client.call(url, api.HOSTS_LIST, api.HostsListParams(online_only=True)))["hosts"]
    )


def measure(site: Site, client: HostClient, show: Callable[[str, float, str], None]) -> None:
    first, ready = site.start("a")
    show("host start to ready", ready * 1e3, "ms")
    begun = time.perf_counter()
    second, _ = site.start("b")
    a, b = first["address"], second["address"]
    while known(client, a) < 2 or known(client, b) < 2:
        time.sleep(0.005)
    show("second host started until both know each other", (time.perf_counter() - begun) * 1e3, "ms")
    third, _ = site.start("c")
    while min(known(client, url) for url in (a, b, third["address"])) < 3:
        time.sleep(0.005)
    pids = [process.pid for process in site.processes.values()]
    time.sleep(1.0)
    before = [(cpu(pid), written(pid)) for pid in pids]
    time.sleep(10.0)
    after = [(cpu(pid), written(pid)) for pid in pids]
    show(
        "idle host, mesh of 3: CPU",
        max(now[0] - then[0] for then, now in zip(before, after, strict=True)) * 10,
        "%",
    )
    show(
        "idle host, mesh of 3: bytes written",
        max(n[1] - t[1] for t, n in zip(before, after, strict=True)),
        "",
    )
    show("idle host, mesh of 3: PSS", statistics.median(pss(pid) for pid in pids), "MiB")

    proxies: list[PagletProxy] = []

    def made() -> None:
        proxies.append(create(client, a))
        proxies[-1].send(Message("add"))

    made()
    show("create to first reply", median(30, made) * 1e3, "ms")
    show("one more idle paglet: PSS", statistics.mean(pss(proxy.info()["pid"]) for proxy in proxies), "MiB")
    paglet, other = proxies[0], proxies[1]
    show("round trip, client to paglet", median(1000, lambda: paglet.send(Message("add"))) * 1e6, "µs")
    ask = {"host_url": a, "agent_id": other.agent_id, "times": 1000}
    show(
        "round trip, paglet to paglet, same host",
        statistics.median(paglet.send(Message("ping", ask))) * 1e6,
        "µs",
    )
    remote = create(client, b)
    ask = {"host_url": b, "agent_id": remote.agent_id, "times": 1000}
    show(
        "round trip, paglet to paglet, other host",
        statistics.median(paglet.send(Message("ping", ask))) * 1e6,
        "µs",
    )
    places = [b, a]

    def moved() -> None:
        paglet.dispatch(places[0])
        paglet.send(Message("add"))
        places.reverse()

    show("move 1 KB of state, to first reply", median(30, moved) * 1e3, "ms")
    paglet.send(Message("fill", {"size": 64 * 1024**2}), timeout=30)
    show("move 64 MB of state, to first reply", median(4, moved) * 1e3, "ms")
    paglet.send(Message("fill", {"size": 0}))
    parked: list[float] = []
    woken: list[float] = []
    for _ in range(20):
        other.send(Message("add"))
        parked.append(median(1, other.deactivate))
        woken.append(median(1, lambda: other.send(Message("add"))))
    show("deactivate", statistics.median(parked) * 1e3, "ms")
    show("activate to first reply", statistics.median(woken) * 1e3, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--paglets", help="the frozen program; without it, this Python's own")
    options = parser.parse_args()
    program = [str(Path(options.paglets).resolve())] if options.paglets else [sys.executable, "-m", "edge"]

    def show(what: str, value: float, unit: str) -> None:
        sys.stdout.write(f"{what:52} {value:10.1f} {unit}\n")
        sys.stdout.flush()

    show(
        "--version",
        median(9, lambda: subprocess.run([*program, "--version"], check=True, capture_output=True)) * 1e3,
        "ms",
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        site = Site(program, root)
        try:
            with HostClient(30.0, mesh_dir=root / "mesh") as client:
                measure(site, client, show)
        finally:
            site.close()


if __name__ == "__main__":
    main()
