"""Paglets are created, moved and disposed of, again and again, and their hosts are looked at in between."""

from __future__ import annotations

import itertools
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paglets.core.messages import Message
from tests.leaks.holdings import Holdings, holdings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.site import Site

AT_ONCE = 3
_LARGE = 10
"""Each so-manieth paglet has a state that goes into the store in chunks, and moves in a memory file."""
_LARGE_BYTES = 300_000
_AT_REST = 0.7
_TRIMMED = 0.3
"""Seconds that a host has to give back what is free."""
_PATIENCE = 60.0


@dataclass
class Run:
    """What was seen of both hosts, before the first cycle and after each batch."""

    first: dict[str, Holdings]
    cycles: list[int] = field(default_factory=list[int])
    seen: dict[str, list[Holdings]] = field(default_factory=dict[str, list[Holdings]])

    def series(self, host: str, what: str) -> list[float]:
        """One figure of one host, batch by batch."""
        return [float(getattr(each, what)) for each in self.seen[host]]


def run(site: Site, root: Path, cycles: int, batch: int, tell: Callable[[str], None] = lambda _: None) -> Run:
    """So many cycles between the two hosts of a site, ``AT_ONCE`` at a time; looked at after each batch."""
    made = Run(
        {name: _look(site, root, name) for name in site.addresses},
        seen={name: [] for name in site.addresses},
    )
    directions = itertools.cycle(itertools.permutations(site.addresses, 2))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, cycles, batch):
            numbers = range(first, min(first + batch, cycles))
            list(
                pool.map(_cycle, itertools.repeat(site), numbers, itertools.islice(directions, len(numbers)))
            )
            made.cycles.append(numbers.stop)
            for name in site.addresses:
                made.seen[name].append(_look(site, root, name))
                tell(f"{numbers.stop:6d} {name}: {made.seen[name][-1]}")
    return made


def _cycle(site: Site, number: int, direction: tuple[str, str]) -> None:
    source, target = direction
    paglet = site.create(source)
    if number % _LARGE == 0:
        paglet.send(Message("fill", {"size": _LARGE_BYTES}))
    moved = paglet.dispatch(site.addresses[target])
    if moved.send(Message("add")) != 1:
        raise AssertionError("the paglet that arrived is not the one that left")
    moved.dispose()


def _look(site: Site, root: Path, name: str) -> Holdings:
    """Once the last processes of paglets have ended and the spare ones are there: none comes or goes for a while."""
    deadline = time.monotonic() + _PATIENCE
    seen, since = site.family(name), time.monotonic()
    while time.monotonic() - since < _AT_REST:
        time.sleep(0.05)
        now = site.family(name)
        if now != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() > deadline:
            raise AssertionError(
                f"processes of host {name} come and go, although nobody asks it for anything"
            )
    seen[0].send_signal(signal.SIGUSR2)
    time.sleep(_TRIMMED)
    return holdings(seen, root / name)
