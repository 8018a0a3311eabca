"""Paglets travel while hosts, zygotes and children are killed at random; then they are counted.

``PAGLETS_SOAK_SEED`` repeats the choices of an earlier run, though not its timing.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import PagletError
from paglets.persistence.records import Phase
from paglets.persistence.store import Store
from paglets.remote import api
from tests.faults.site import kill

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.site import Site

HOSTS = ("a", "b", "c")
TRAVELLERS = 12
MOVES = 150
KILLS = 40
LONGEST = 150.0


class Owner(threading.Thread):
    """Has travellers of its own, and is the only one to ask anything of them: so it knows what they must hold."""

    def __init__(self, site: Site, seed: int, travellers: list[str]) -> None:
        super().__init__(name=f"owner-{seed}", daemon=True)
        self.site = site
        self.random = random.Random(seed)
        self.held = dict.fromkeys(travellers, 0)
        """What each has acknowledged to hold."""
        self.asked = dict.fromkeys(travellers, 0)
        """What each may hold at most."""
        self.clones: set[str] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            agent_id = self.random.choice(list(self.held))
            act = self.random.choices(
                [self.save, self.send_off, self.go, self.retract, self.park, self.wake, self.copy],
                [4, 4, 4, 2, 1, 1, 0.3],
            )[0]
            with suppress(PagletError, TimeoutError):
                act(agent_id)

    def where(self) -> str:
        return self.random.choice(HOSTS)

    def ticket(self) -> dict[str, object]:
        timeout = self.random.choice([1.0, 3.0, 10.0])
        return {"destination": self.site[self.where()].url, "timeout": timeout}

    def find(self, agent_id: str) -> str:
        """A host that has it, as far as can be seen."""
        for name in self.random.sample(HOSTS, len(HOSTS)):
            with suppress(PagletError):
                self.site.ask(name, api.PAGLETS_INFO, api.PagletParams(agent_id=agent_id), timeout=5.0)
                return name
        raise PagletError(f"{agent_id} is not to be seen now")

    def save(self, agent_id: str) -> None:
        name = self.find(agent_id)
        self.asked[agent_id] += 1
        self.held[agent_id] = self.site.tell(name, agent_id, "save", by=1)

    def send_off(self, agent_id: str) -> None:
        params = api.DispatchParams(agent_id=agent_id, ticket=self.ticket())
        self.site.ask(self.find(agent_id), api.PAGLETS_DISPATCH, params)

    def go(self, agent_id: str) -> None:
        ticket = self.ticket()
        self.site.tell(
            self.find(agent_id), agent_id, "go", to=ticket["destination"], timeout=ticket["timeout"]
        )

    def retract(self, agent_id: str) -> None:
        source = self.site[self.find(agent_id)].url
        params = api.RetractParams(agent_id=agent_id, source_url=source, timeout=5.0)
        self.site.ask(self.where(), api.PAGLETS_RETRACT, params)

    def park(self, agent_id: str) -> None:
        self.site.ask(self.find(agent_id), api.PAGLETS_DEACTIVATE, api.DeactivateParams(agent_id=agent_id))

    def wake(self, agent_id: str) -> None:
        self.site.ask(self.find(agent_id), api.PAGLETS_ACTIVATE, api.PagletParams(agent_id=agent_id))

    def copy(self, agent_id: str) -> None:
        params = api.CloneParams(agent_id=agent_id, ticket=self.ticket())
        self.clones.add(self.site.ask(self.find(agent_id), api.PAGLETS_CLONE, params)["agent_id"])


class Chaos:
    """Kills what it finds, and starts hosts again."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.random = random.Random(seed)
        self.kills: Counter[str] = Counter()

    def strike(self) -> None:
        acts: list[Callable[[], None]] = [self.host, self.hosts, self.zygote, self.child, self.child]
        self.random.choice(acts)()
        time.sleep(self.random.uniform(0.0, 0.6))  # the moment is meant to be any

    def host(self) -> None:
        node = self.site[self.random.choice(HOSTS)]
        node.kill()
        self.kills["host"] += 1
        time.sleep(self.random.choice([0.0, 0.0, 0.5, 2.0]))
        node.start()

    def hosts(self) -> None:
        nodes = [self.site[name] for name in self.random.sample(HOSTS, 2)]
        for node in nodes:
            node.kill()
        self.kills["two hosts"] += 1
        for node in nodes:
            node.start()

    def zygote(self) -> None:
        for zygote in self.site[self.random.choice(HOSTS)].zygotes():
            kill(zygote.pid)
            self.kills["zygote"] += 1

    def child(self) -> None:
        children = sorted(self.site[self.random.choice(HOSTS)].children())
        if children:
            kill(self.random.choice(children))
            self.kills["child"] += 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_or_doubled(make_site: Callable[..., Site]) -> None:
    seed = int(os.environ.get("PAGLETS_SOAK_SEED", "0")) or random.randrange(1, 1 << 30)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    site = make_site(*HOSTS)
    travellers = [site.create(HOSTS[number % 3], count=0) for number in range(TRAVELLERS)]
    owners = [Owner(site, seed + number, travellers[number::4]) for number in range(4)]
    chaos, arrivals = Chaos(site, seed), Arrivals(site)
    for owner in owners:
        owner.start()
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and (arrivals.look() < MOVES or sum(chaos.kills.values()) < KILLS):
        chaos.strike()
    for owner in owners:
        owner.stop.set()
    for owner in owners:
        owner.join(60.0)
        assert not owner.is_alive()
    print(f"{arrivals.look()} moves, {dict(chaos.kills)}")  # noqa: T201 - the same
    count(site, owners)


class Arrivals:
    """Adds up the arrivals of a site over the lives of its hosts; some go unseen, with their hosts."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._seen: set[tuple[str, float]] = set()

    def look(self) -> int:
        """How many there were, at least."""
        for node in self._site.nodes.values():
            with suppress(PagletError):
                params = api.EventsListParams(since=0, limit=1000)
                events = self._site.ask(node.name, api.EVENTS_LIST, params, timeout=5.0)["events"]
                self._seen |= {
                    (event["agent_id"], event["timestamp"]) for event in events if event["kind"] == "arrival"
                }
        return len(self._seen)


def count(site: Site, owners: list[Owner]) -> None:
    """Each is there once, holds what it has acknowledged, and works."""
    held = {agent_id: number for owner in owners for agent_id, number in owner.held.items()}
    asked = {agent_id: number for owner in owners for agent_id, number in owner.asked.items()}
    clones = {agent_id for owner in owners for agent_id in owner.clones}
    site.at_rest(within=60.0)
    copies = site.copies()
    often = Counter(copy.agent_id for copy in copies)
    assert {agent_id: often[agent_id] for agent_id in held} == dict.fromkeys(held, 1), site.logs()
    assert {agent_id for agent_id, number in often.items() if number != 1} == set(), copies
    assert clones <= set(often)
    for copy in copies:
        site.proxy(copy.host, copy.agent_id).activate()
        found = site.tell(copy.host, copy.agent_id, "look")["count"]
        if copy.agent_id in held:
            assert held[copy.agent_id] <= found <= asked[copy.agent_id]
    site.at_rest()
    for node in site.nodes.values():
        node.order("stop")
    for node in site.nodes.values():
        node.wait_stopped()
    assert lives(site) == dict.fromkeys(often, 1)


def lives(site: Site) -> dict[str, int]:
    """In how many stores each paglet has a live record; none may be on its way."""
    found: Counter[str] = Counter()
    for node in site.nodes.values():
        with Store(node.data_dir / "store") as store:
            records = store.read_sync(lambda tx: tx.paglets())
            assert not [record for record in records if record.phase is Phase.PREPARED]
            assert store.damaged == []
            found.update(
                record.agent_id for record in records if record.phase in {Phase.ACTIVE, Phase.INACTIVE}
            )
    return dict(found)
