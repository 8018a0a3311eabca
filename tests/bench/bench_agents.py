"""Paglets that the figures are taken with."""

import time
from dataclasses import dataclass, field
from typing import Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.messages import Message


@dataclass
class LoadState(PagletState):
    """A counter, and as much ballast as is wanted."""

    count: int = 0
    ballast: bytes = b""
    table: dict[str, dict[str, list[int]]] = field(default_factory=dict[str, dict[str, list[int]]])


class Load(Paglet[LoadState]):
    """Answers ``add``; ``ping`` measures round trips to another paglet; ``fill`` and ``nest`` make its state larger."""

    State = LoadState

    def handle_message(self, message: Message) -> Any:
        if message.kind == "add":
            self.state.count += 1
            return self.state.count
        if message.kind == "fill":
            self.state.ballast = bytes(message.get_arg("size"))
            self.state.table = {}
            return len(self.state.ballast)
        if message.kind == "nest":
            self.state.ballast = b""
            self.state.table = nested(message.get_arg("size"))
            return len(self.state.table)
        if message.kind == "ping":
            return self._ping(
                message.get_arg("host_url"), message.get_arg("agent_id"), message.get_arg("times")
            )
        return self.not_handled()

    def _ping(self, host_url: str, agent_id: str, times: int) -> list[float]:
        proxy = self.context.get_proxy(agent_id, host_url)
        if proxy is None:
            raise ValueError("nobody to ping")
        taken: list[float] = []
        for _ in range(times):
            begun = time.perf_counter()
            proxy.send(Message("add"))
            taken.append(time.perf_counter() - begun)
        return taken


def nested(size: int) -> dict[str, dict[str, list[int]]]:
    """A dict of dicts of lists, about so many bytes as a pickle."""
    row = 100  # numbers, of five bytes each, under a key of about ten
    return {
        f"group-{group}": {f"row-{number}": [70_000 + number] * row for number in range(10)}
        for group in range(size // (10 * (row * 5 + 20)))
    }
