"""The ways a paglet leaves host a for host b, each begun beside the test, and what has to be true afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from tests.faults.site import eventually

if TYPE_CHECKING:
    import concurrent.futures

    import msgspec

    from tests.faults.site import Copy, Site

LARGE = 3_000_000
"""A state of some chunks, in a memory file."""


@dataclass
class Journey:
    """One move that is under way."""

    site: Site
    kind: str
    agent_id: str
    epoch: int
    call: concurrent.futures.Future[Any]

    def comes_by(self, host: str, point: str) -> None:
        """Wait until it is held at a point of that host; tells how the call ended, if it never comes there."""
        node = self.site[host]
        eventually(
            lambda: node.points.is_reached(point) or self.call.done(),
            what=lambda: f"{point}\n{self.site.logs()}",
        )
        assert node.points.is_reached(point), f"{point} was not reached: {self.call}\n{self.site.logs()}"

    def finish(self, where: str | None) -> Copy:
        """Wait until all is settled, and count; the copy that moved or stayed.

        ``where``: the host that it has to be on; None: either will do.
        """
        failed = self.call.exception(30.0)
        if self.kind == "clone":
            return self._finish_clone(where)
        status = "inactive" if self.kind == "parked" else "active"
        copy = self.site.settled_as(status, self.agent_id)
        assert where in {None, copy.host}, f"{copy} {failed}\n{self.site.logs()}"
        assert copy.epoch >= self.epoch + (copy.host == "b")
        self._look(copy)
        return copy

    def _finish_clone(self, where: str | None) -> Copy:
        original = self.site.settled_as("active", self.agent_id)
        assert original.host == "a"
        clones = [
            copy for copy in self.site.copies() if copy.agent_id != self.agent_id and self._is_clone(copy)
        ]
        assert len(clones) <= 1
        assert where is None or len(clones) == (where == "b"), self.site.logs()
        assert all(clone.host == "b" for clone in clones)
        self._look(original)
        for clone in clones:
            self._look(clone)
        return original

    def _is_clone(self, copy: Copy) -> bool:
        return self._state(copy)["count"] == self._state(self.site.settled(self.agent_id))["count"]

    def _state(self, copy: Copy) -> dict[str, Any]:
        params = api.PagletParams(agent_id=copy.agent_id)
        return self.site.ask(copy.host, api.PAGLETS_STATE, params)["state"]

    def _look(self, copy: Copy) -> None:
        """What was acknowledged is there, and it works: reached by way of the host that it left."""
        count = self._state(copy)["count"]
        assert count == _counts[self.agent_id]
        if copy.status == "active":
            by_way_of = "a" if copy.agent_id == self.agent_id else copy.host
            assert self.site.tell(by_way_of, copy.agent_id, "add", by=0) == count


_counts: dict[str, int] = {}
"""Of each traveller: what it has acknowledged to hold, different for each."""


def traveller(site: Site, *, large: bool = False) -> str:
    """A paglet on host a with a state of its own, acknowledged by a checkpoint."""
    agent_id = site.create("a", count=0)
    _counts[agent_id] = len(_counts) + 1000
    assert site.tell("a", agent_id, "save", by=_counts[agent_id]) == _counts[agent_id]
    if large:
        assert site.tell("a", agent_id, "load", bytes=LARGE) == LARGE
    return agent_id


def set_out(site: Site, kind: str, *, timeout: float = 10.0) -> Journey:
    """Begin a move of that kind from a to b."""
    agent_id = traveller(site, large=kind == "large")
    if kind == "parked":
        site.proxy("a", agent_id).deactivate()
    [copy] = site.copies(agent_id)
    return Journey(site, kind, agent_id, copy.epoch, begin(site, kind, agent_id, timeout=timeout))


def begin(site: Site, kind: str, agent_id: str, *, timeout: float = 10.0) -> concurrent.futures.Future[Any]:
    """Have it leave; what comes of the call."""
    ticket = TransferTicket(site["b"].url, timeout=timeout).to_wire()  # known or not, it can be found
    calls: dict[str, tuple[str, str, msgspec.Struct]] = {
        "dispatch": ("a", api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=agent_id, ticket=ticket)),
        "retract": (
            "b",
            api.PAGLETS_RETRACT,
            api.RetractParams(agent_id=agent_id, source_url=site["a"].url, timeout=timeout),
        ),
        "clone": ("a", api.PAGLETS_CLONE, api.CloneParams(agent_id=agent_id, ticket=ticket)),
    }
    if kind == "own":
        return site.soon(lambda: site.tell("a", agent_id, "go", to=site["b"].url, timeout=timeout))
    name, method, params = calls.get(kind, calls["dispatch"])
    return site.soon(lambda: site.ask(name, method, params, timeout=30.0))
