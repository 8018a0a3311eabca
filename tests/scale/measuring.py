"""The growth curves: cost over the paglets that a host holds, the size of a state, the hosts of a mesh."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from tests.bench.measuring import add, fill
from tests.bench.samples import percentile, timed
from tests.bench.site import Site, cpu_seconds, pss_mib, since, wait_until
from tests.scale.crowds import lowest, own_memory_mib, page_of, park_many
from tests.scale.curves import Curve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.remote.proxy import PagletProxy

    Tell = Callable[[str], None]


@dataclass(frozen=True)
class Amounts:
    """How far the curves go."""

    inactive: tuple[int, ...] = (1, 1_000, 10_000, 100_000)
    active: tuple[int, ...] = (1, 50, 150, 300, 500)
    state_bytes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 64_000_000)
    hosts: tuple[int, ...] = (2, 5, 10, 25, 50)
    travellers: int = 50
    tries: int = 15
    idle_seconds: float = 20.0
    rest_seconds: float = 30.0
    """After which paglets without messages have given back what they only looked at."""


def inactive(program: list[str], root: Path, amounts: Amounts, tell: Tell) -> list[Curve]:
    """Start, memory, creating, listing and messages, with ever more parked paglets."""
    curves = [
        Curve("start_ms_by_inactive", "start until ready", "parked paglets", "ms"),
        Curve("own_mib_by_inactive", "the host process's own memory", "parked paglets", "MiB"),
        Curve("create_ms_by_inactive", "create, to first reply", "parked paglets", "ms"),
        Curve("message_ms_by_inactive", "message and reply", "parked paglets", "ms"),
        Curve("list_ms_by_inactive", "a page of 100 of the list", "parked paglets", "ms"),
        Curve("wake_ms_by_inactive", "wake one, to first reply", "parked paglets", "ms"),
    ]
    for count in amounts.inactive:
        place = root / f"inactive-{count}"
        with Site(program, place) as site:
            site.start("a")
            site.create("a").deactivate()
        park_many(place / "a", count - 1)
        starts = [_start(program, place) for _ in range(3)]
        with Site(program, place) as site:
            starts.append(site.start("a") * 1e3)
            memory = own_memory_mib(site.family("a")[0].pid)
            costs = (min(starts), memory, *_daily(site, amounts), _wake(site, amounts))
        _take(curves, count, costs, tell)
    return curves


def _start(program: list[str], place: Path) -> float:
    with Site(program, place) as site:
        return site.start("a") * 1e3


def _daily(site: Site, amounts: Amounts) -> tuple[float, float, float]:
    """Creating, a message, a page of the list."""
    made: list[PagletProxy] = []

    def create() -> None:
        made.append(site.create("a"))
        made[-1].send(add())

    costs = (
        lowest(amounts.tries, create),
        lowest(amounts.tries * 20, lambda: made[0].send(add())),
        lowest(amounts.tries * 2, lambda: page_of(site, "a", "all")),
    )
    for each in made:
        each.dispose()
    return costs


def _wake(site: Site, amounts: Amounts) -> float:
    paglet = site.create("a")
    taken: list[float] = []

    def wake() -> None:
        paglet.activate()
        paglet.send(add())

    for _ in range(amounts.tries):
        paglet.deactivate()
        taken += timed(1, wake, scale=1e3)
    paglet.dispose()
    return min(taken)


def active(program: list[str], root: Path, amounts: Amounts, tell: Tell) -> list[Curve]:
    """Memory, creating, listing and messages, with ever more active paglets."""
    curves = [
        Curve("own_mib_by_active", "the host process's own memory", "active paglets", "MiB"),
        Curve("create_ms_by_active", "create, to first reply", "active paglets", "ms"),
        Curve("message_ms_by_active", "message and reply", "active paglets", "ms"),
        Curve("list_ms_by_active", "a page of 100 of the list", "active paglets", "ms"),
        Curve("all_pss_mib_by_active", "all processes of the host", "active paglets", "MiB"),
        Curve("rested_pss_mib_by_active", "the same when they have rested", "active paglets", "MiB"),
    ]
    with Site(program, root / "active") as site:
        site.start("a")
        here = 0
        for count in amounts.active:
            for _ in range(count - here):
                site.create("a")
            here = count
            family = site.family("a")
            costs = (own_memory_mib(family[0].pid), *_daily(site, amounts), _all_memory_mib(site, "a"))
            time.sleep(amounts.rest_seconds)
            _take(curves, count, (*costs, _all_memory_mib(site, "a")), tell)
    return curves


def _all_memory_mib(site: Site, name: str) -> float:
    """Of all processes of a host; looked at anew when one of them ends meanwhile."""
    taken: list[float] = []

    def look() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            taken.append(pss_mib(site.family(name)))
        return bool(taken)

    wait_until(look)
    return taken[0]


def states(program: list[str], root: Path, amounts: Amounts, tell: Tell) -> list[Curve]:
    """Moving, parking and messages, with ever larger states."""
    curves = [
        Curve("move_ms_by_state", "move, durable at both ends, to first reply", "bytes of state", "ms"),
        Curve("park_ms_by_state", "park", "bytes of state", "ms"),
        Curve("message_ms_by_state", "message and reply", "bytes of state", "ms"),
    ]
    with Site(program, root / "states") as site:
        for name in ("a", "b"):
            site.start(name)
        site.wait_until_known(2)
        paglet = site.create("a")
        places = itertools.cycle([site.addresses["b"], site.addresses["a"]])

        def move() -> None:
            paglet.dispatch(next(places))
            paglet.send(add())

        for size in amounts.state_bytes:
            fill(paglet, size)
            parked: list[float] = []
            for _ in range(5):
                parked += timed(1, paglet.deactivate, scale=1e3)
                paglet.activate()
            costs = (lowest(8, move), min(parked), lowest(200, lambda: paglet.send(add())))
            _take(curves, size, costs, tell)
    return curves


def hosts(program: list[str], root: Path, amounts: Amounts, tell: Tell) -> list[Curve]:
    """What an idle host takes, and how long a newcomer takes to be known, in ever larger meshes."""
    curves = [
        Curve("idle_cpu_by_hosts", "processor of an idle host, all its processes", "hosts", "% of a core"),
        Curve("own_mib_by_hosts", "the host process's own memory", "hosts", "MiB"),
        Curve("meet_ms_by_hosts", "a host is started until it knows all", "hosts", "ms"),
    ]
    with Site(program, root / "hosts") as site:
        for count in amounts.hosts:
            met = 0.0
            for number in range(len(site.addresses), count):
                begun = time.perf_counter()
                site.start(f"h{number}")
                site.wait_until_knows(f"h{number}", number + 1)
                met = (time.perf_counter() - begun) * 1e3
            site.wait_until_known(count)
            time.sleep(3.0)
            families = [site.family(name) for name in site.addresses]
            before = [cpu_seconds(family) for family in families]
            time.sleep(amounts.idle_seconds)
            used = [since(cpu, cpu_seconds(family)) for family, cpu in zip(families, before, strict=True)]
            memory = statistics.median(own_memory_mib(family[0].pid) for family in families)
            _take(curves, count, (statistics.mean(used) / amounts.idle_seconds * 100, memory, met), tell)
    return curves


def moving(program: list[str], root: Path, amounts: Amounts, tell: Tell) -> dict[str, float]:
    """Message latency at rest, and while others move between this host and another without a pause."""
    with Site(program, root / "moving") as site:
        for name in ("a", "b"):
            site.start(name)
        site.wait_until_known(2)
        still = site.create("a")
        others = [site.create("ab"[number % 2]) for number in range(amounts.travellers)]
        at_rest = timed(300, lambda: still.send(add()), scale=1e3)
        over, moves = threading.Event(), itertools.count()

        def travel(paglets: list[PagletProxy]) -> None:
            while not over.is_set():
                for paglet in paglets:
                    here = paglet.host_url
                    paglet.dispatch(next(url for url in site.addresses.values() if url != here))
                    next(moves)

        threads = [threading.Thread(target=travel, args=(others[first::4],)) for first in range(4)]
        for thread in threads:
            thread.start()
        begun = time.perf_counter()
        meanwhile = timed(600, lambda: still.send(add()), scale=1e3)
        seconds = time.perf_counter() - begun
        over.set()
        for thread in threads:
            thread.join()
        told = {
            "message_ms_at_rest": statistics.median(at_rest),
            "message_ms_at_rest_p95": percentile(at_rest, 0.95),
            "message_ms_while_moving": statistics.median(meanwhile),
            "message_ms_while_moving_p95": percentile(meanwhile, 0.95),
            "moves_per_s_meanwhile": next(moves) / seconds,
        }
    tell(", ".join(f"{key} {value:.2f}" for key, value in told.items()))
    return told


def _take(curves: list[Curve], amount: float, costs: tuple[float, ...], tell: Tell) -> None:
    for curve, cost in zip(curves, costs, strict=True):
        curve.add(amount, cost)
    shown = ", ".join(
        f"{curve.title} {cost:.3g} {curve.unit}" for curve, cost in zip(curves, costs, strict=True)
    )
    tell(f"{amount:g} {curves[0].amount}: {shown}")
