"""How each figure is taken. Limits are taken beside the figures they belong to: machines change their pace.

Those of large files are taken beside artifacts; what a move of 64 MB is shown beside is a minute apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.core.messages import Message
from tests.bench import limits
from tests.bench.samples import timed
from tests.bench.site import Site, bytes_written, cpu_seconds, pss_mib, since

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.core.messages import FutureReply
    from paglets.remote.proxy import PagletProxy
    from tests.bench.samples import Samples

_LIBRARY = """
import sys, time
begun = time.perf_counter()
from paglets.runtime.host import Host
host = Host("bench", persistence_dir=sys.argv[1], mesh_dir=sys.argv[2])
host.start_background()
print((time.perf_counter() - begun) * 1e3)
host.stop()
"""


@dataclass(frozen=True)
class Amounts:
    """How much of everything is taken."""

    lives: int
    messages: int
    burst: int
    moves: int
    large_moves: int
    starts: int
    artifacts: int
    artifact_mb: int
    idle_seconds: float
    paglets: int


FULL = Amounts(
    lives=60, messages=1500, burst=30_000, moves=60, large_moves=8, starts=7, artifacts=4, artifact_mb=256,
    idle_seconds=45.0, paglets=30,
)  # fmt: skip
QUICK = Amounts(
    lives=15, messages=300, burst=4_000, moves=15, large_moves=2, starts=2, artifacts=1, artifact_mb=128,
    idle_seconds=6.0, paglets=10,
)  # fmt: skip


def add() -> Message:
    """The message that is sent."""
    return Message("add")


def starting(samples: Samples, program: list[str], root: Path, amounts: Amounts) -> None:
    """Programs and hosts from nothing to ready."""
    version = [*program, "--version"]
    samples.add(
        "version_frozen_ms",
        timed(
            amounts.starts * 3, lambda: subprocess.run(version, check=True, capture_output=True), scale=1e3
        ),
    )
    # As an installed library is: compiled, whatever this program's environment says.
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for number in range(amounts.starts + 1):
        told = subprocess.run(
            [sys.executable, "-c", _LIBRARY, str(root / f"library-{number}"), str(root / "library-mesh")],
            check=True, capture_output=True, text=True, env=environ,
        )  # fmt: skip
        if number:  # the first one compiles
            samples.add("host_ready_ms", [float(told.stdout)])
    for number in range(amounts.starts):
        with Site(program, root / f"start-{number}") as site:
            samples.add("host_ready_frozen_ms", [site.start("a") * 1e3])
            begun = time.perf_counter()
            site.start("b")
            site.wait_until_known(2)
            samples.add("discovery_ms", [(time.perf_counter() - begun) * 1e3])


def idling(samples: Samples, site: Site, amounts: Amounts) -> None:
    """What a host takes that has nothing to do; the other two of its mesh are as idle."""
    time.sleep(2.0)  # what a start brings along is not idling
    family = site.family("a")
    cpu, written = cpu_seconds(family), bytes_written(family)
    time.sleep(amounts.idle_seconds)
    # Without what has ended meanwhile: a spare child does half a minute after the start.
    samples.add("idle_cpu_percent", [since(cpu, cpu_seconds(family)) / amounts.idle_seconds * 100])
    samples.add("idle_bytes_written", [since(written, bytes_written(family))])
    samples.add("host_idle_pss_mib", [pss_mib(site.family(name)) for name in site.addresses])
    before = pss_mib(site.family("c"))
    paglets = [site.create("c") for _ in range(amounts.paglets)]
    for paglet in paglets:
        paglet.send(add())
    time.sleep(amounts.idle_seconds)  # idle, as the host was: what is for the next work has been given back
    samples.add("paglet_pss_mib", [(pss_mib(site.family("c")) - before) / amounts.paglets])
    for paglet in paglets:
        paglet.dispose()


def lives(samples: Samples, site: Site, root: Path, amounts: Amounts) -> PagletProxy:
    """Creating, parking and waking; a paglet that is left."""
    paglets: list[PagletProxy] = []

    def create() -> None:
        paglets.append(site.create("a"))
        paglets[-1].send(add())

    timed(5, create, scale=1)
    limits.fork(samples, amounts.lives)
    limits.commit(samples, root, amounts.lives * 3)
    samples.add("create_ms", timed(amounts.lives, create, scale=1e3))
    paglet = paglets.pop()
    for each in paglets:
        each.dispose()
    fill(paglet, 1024)

    def wake() -> None:
        paglet.activate()
        paglet.send(add())

    parked: list[float] = []
    woken: list[float] = []
    for _ in range(amounts.lives):
        parked += timed(1, paglet.deactivate, scale=1e3)
        woken += timed(1, wake, scale=1e3)
    samples.add("deactivate_ms", parked)
    samples.add("activate_ms", woken)
    return paglet


def messages(samples: Samples, site: Site, paglet: PagletProxy, root: Path, amounts: Amounts) -> None:
    """Round trips, and as many at once as go through."""
    near, far, heavy = site.create("a"), site.create("b"), site.create("a")
    fill(heavy, 64_000_000)
    rounds = 3
    for number in range(rounds):
        times = amounts.messages // rounds
        limits.unix_hop(samples, times)
        folder = root / f"echo-{number}"
        folder.mkdir()
        limits.tls(samples, folder, echoes=times, megabytes=0)
        timed(50, lambda: paglet.send(add()), scale=1)
        samples.add("rtt_client_local_us", timed(times, lambda: paglet.send(add()), scale=1e6))
        samples.add("rtt_64m_state_us", timed(times, lambda: heavy.send(add()), scale=1e6))
        for key, other in (("rtt_paglets_local_us", near), ("rtt_paglets_remote_us", far)):
            ask = {"host_url": other.host_url, "agent_id": other.agent_id, "times": times}
            samples.add(key, [1e6 * each for each in paglet.send(Message("ping", ask))[times // 10 :]])
        samples.add("messages_per_s_16", [_burst(paglet, amounts.burst // rounds)])
    for each in (near, far, heavy):
        each.dispose()


def _burst(paglet: PagletProxy, count: int) -> float:
    under_way: deque[FutureReply] = deque()
    begun = time.perf_counter()
    for _ in range(count):
        if len(under_way) == 16:
            under_way.popleft().get_reply(60)
        under_way.append(paglet.send_future(add()))
    while under_way:
        under_way.popleft().get_reply(60)
    return count / (time.perf_counter() - begun)


def moves(samples: Samples, site: Site, paglet: PagletProxy, root: Path, amounts: Amounts) -> None:
    """There and back between two hosts, with states of three kinds."""
    places = [site.addresses["b"], site.addresses["a"]]

    def move() -> None:
        paglet.dispatch(places[0])
        paglet.send(add())
        places.reverse()

    fill(paglet, 1024)
    timed(4, move, scale=1)
    samples.add("move_1k_ms", timed(amounts.moves, move, scale=1e3))
    paglet.send(Message("nest", {"size": 1_000_000}))
    samples.add("move_nested_1m_ms", timed(amounts.moves // 2, move, scale=1e3))
    limits.pickled(samples, amounts.large_moves)
    fill(paglet, 64_000_000)
    samples.add("move_64m_ms", timed(amounts.large_moves, move, scale=1e3))
    fill(paglet, 0)


def artifacts(samples: Samples, site: Site, root: Path, amounts: Amounts) -> None:
    """Large files into a host and out of it, each beside its limits.

    A page of memory that has not been used for seconds can cost a virtual machine as much as a whole transfer, the
    first time it is written to. So memory for the files is used first, for limits and figures alike.
    """
    size = amounts.artifact_mb
    sources = root / "artifacts"
    sources.mkdir()
    for number in range(amounts.artifacts):
        source, target = sources / f"{number}", sources / f"{number}-back"
        with source.open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(1_000_000))
            os.fsync(file.fileno())  # else it is written beside what is measured
        limits.tls(samples, sources, echoes=0, megabytes=size)
        use_memory(sources / "memory", 3 * size)
        limits.bulk_writes(samples, sources, size)
        begun = time.perf_counter()
        ref = site.client.upload_artifact(site.addresses["a"], source)
        samples.add("artifact_push_mb_s", [size / (time.perf_counter() - begun)])
        begun = time.perf_counter()
        site.client.download_artifact(ref, target)
        samples.add("artifact_pull_mb_s", [size / (time.perf_counter() - begun)])
        site.client.delete_artifact(ref)
        source.unlink()
        target.unlink()


def use_memory(path: Path, megabytes: int) -> None:
    """Have as much memory at hand for files as one of that size takes."""
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(bytes(1_000_000))
    path.unlink()


def fill(paglet: PagletProxy, size: int) -> None:
    """Give a paglet a state of that many bytes."""
    paglet.send(Message("fill", {"size": size}), timeout=60)


def sizes(samples: Samples, tree: Path, single_file: Path) -> None:
    """What is downloaded, and what it becomes."""
    samples.add("single_file_mb", [single_file.stat().st_size / 1e6])
    inside = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    samples.add("tree_mb", [inside / 1e6])
