"""The world of a walk: one that is changed in place, so that a step costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.transfers.exploring.numbered import envelopes_to
from tests.transfers.exploring.scope import Budget
from tests.transfers.exploring.stores import records, tables
from tests.transfers.exploring.world import POSITION

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tests.transfers.exploring.draft import Draft
    from tests.transfers.exploring.world import HostState

OF_TRANSFERS = {"said", "arrived", "failed", "recalled", "came on recall"}
MUCH = 1_000_000_000


class Network:
    """What is under way; it comes in any order, some of it twice, some never."""

    LOST, DOUBLED = 0.08, 0.12

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._messages: list[Any] = []
        self._places: dict[Any, int] = {}
        self.lost = 0
        self.doubled = 0

    def __contains__(self, message: object) -> bool:
        return message in self._places

    def __len__(self) -> int:
        return len(self._messages)

    def send(self, message: Any) -> None:
        """Put it under way, or lose it."""
        if self._chance.random() < self.LOST:
            self.lost += 1
        elif message not in self._places:
            self._places[message] = len(self._messages)
            self._messages.append(message)

    def pick(self) -> Any:
        """Something that is under way."""
        return self._messages[int(self._chance.random() * len(self._messages))]

    def arrived(self, message: Any) -> None:
        """It has arrived; it may come once more."""
        if self._chance.random() < self.DOUBLED:
            self.doubled += 1
        else:
            self.lose(message)

    def sever(self, host: str) -> None:
        """What comes to a host on streams does not any more."""
        for message in envelopes_to(host, self._messages):
            self.lose(message)

    def clear(self) -> None:
        """Nothing is under way any more."""
        self._messages.clear()
        self._places.clear()

    def lose(self, message: Any) -> None:
        """It is no longer under way."""
        place = self._places.pop(message)
        last = self._messages.pop()
        if place < len(self._messages):
            self._messages[place] = last
            self._places[last] = place


class WalkedWorld:
    """A `View` that changes in place."""

    def __init__(self, hosts: list[HostState], chance: random.Random) -> None:
        self.hosts = hosts
        self.net = Network(chance)
        self.budget: list[int] = list(Budget())
        self.facts: set[Any] = set()

    def apply(self, draft: Draft) -> set[str]:
        """Make the draft the world; the ids of the paglets of which some host knows something else now."""
        changed: set[str] = set()
        for before, after in zip(self.hosts, draft.hosts, strict=True):
            if before is not after and before.store is not after.store:
                old, new = records(before.store), records(after.store)
                changed.update(agent_id for agent_id in new if old.get(agent_id) is not new[agent_id])
                changed.update(agent_id for agent_id in old if agent_id not in new)
        self.hosts = draft.hosts
        self.facts.update(draft.noted)
        if draft.severed:
            self.net.sever(draft.severed)
        for message in draft.sent:
            self.net.send(message)
        return changed

    def begin_afresh(self, alive: set[str], host_ids: Sequence[str]) -> None:
        """At rest, after a store was put back: nothing is under way any more from before, and all is promised again.

        What is known of transfers is over with them. What waits has not been handled, what lives was not disposed of.
        If the only disk that knew of a disposal was lost, any backup may bring back what was disposed of. What a backup
        brings back in a queue from which another host has had it is not promised: where that has led may be lost.
        """
        self.net.clear()
        gone_on = {
            (each.waits_at, each.agent_id, each.message_id) for host in self.hosts for each in host.answered
        }
        dropped: set[Any] = set()
        for name, host in zip(host_ids, self.hosts, strict=True):
            for agent_id, queue in tables(host.store).queues.items():
                for each in queue:
                    handled = ("handled", agent_id, each.message_id)
                    dropped.add(handled)
                    if handled in self.facts and (name, agent_id, each.message_id) in gone_on:
                        dropped.add(("accepted", agent_id, each.message_id))
        over = OF_TRANSFERS | {"restored", "back", "gone"}
        not_disposed = alive | {fact[1] for fact in self.facts if fact[0] == "back"}
        self.facts = {
            fact
            for fact in self.facts - dropped
            if fact[0] not in over and not (fact[0] == "disposed" and fact[1] in not_disposed)
        }

    def lose_backups(self) -> None:
        """They are too old to be put back: what had become of paglets since is forgotten."""
        self.hosts = [host._replace(backup=None) for host in self.hosts]


def budget(**kinds: int) -> list[int]:
    """A budget for these kinds of events only."""
    allowed = [0] * len(POSITION)
    for kind, amount in kinds.items():
        allowed[POSITION[kind]] = amount
    return allowed
