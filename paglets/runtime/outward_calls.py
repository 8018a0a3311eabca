"""The calls of paglets to other hosts: one that makes many leaves places on the link for the others."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.core.fair_share import FairShare

if TYPE_CHECKING:
    from collections.abc import Generator

MAX_TO_ONE_HOST = 3072
"""Calls of all paglets to one host under way. The host at the other end takes 4096 of one link, an eighth of them only
for what does not wait for a paglet; what hosts say to each other needs its places, too."""
_ONE_PAGLET = 3.0
"""What one paglet may have under way, as a multiple of what is free: a quarter is always left to others."""


class OutwardCalls:
    """Counts calls under way, by host and paglet. Hosts that nobody calls take no room."""

    def __init__(self, limit: int = MAX_TO_ONE_HOST) -> None:
        self._limit = limit
        self._hosts: dict[str, FairShare] = {}
        self.share = FairShare("calls by paglets to another host", limit)
        """What is shown of all of them: how many there are, and how many were refused."""

    def take(self, host_url: str, agent_id: str) -> None:
        """Have a place for one call; ``HostError`` when that paglet has as many to that host as it may."""
        share = self._hosts.setdefault(host_url, FairShare("", self._limit, share=_ONE_PAGLET))
        if not share.take(agent_id):
            self.share.refuse(agent_id)
            raise HostError(
                f"{share.held(agent_id)} calls of paglet {agent_id} to {host_url} are under way, of {share.used} "
                "in all; wait for some of them before making more"
            )
        self.share.add(host_url)

    def give_back(self, host_url: str, agent_id: str) -> None:
        """The call is over."""
        share = self._hosts[host_url]
        self.share.give_back(host_url)
        share.give_back(agent_id)
        if not share.used:
            del self._hosts[host_url]

    @contextlib.contextmanager
    def place(self, host_url: str, agent_id: str) -> Generator[None]:
        """Have a place for one call while the block runs; see ``take``."""
        self.take(host_url, agent_id)
        try:
            yield
        finally:
            self.give_back(host_url, agent_id)
