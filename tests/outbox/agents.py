"""Paglets that take part in tests of the outbox."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.messages import Message
from paglets.core.policies import RestartPolicy


@dataclass
class ListState(PagletState):
    """What came, in order."""

    items: list[Any] = field(default_factory=list[Any])


class Lister(Paglet[ListState]):
    """Writes down what it is told; ``crash`` ends its process."""

    State = ListState

    def handle_message(self, message: Message) -> Any:
        """``note``, ``items``, ``crash``."""
        if message.kind == "note":
            self.state.items.append(message.get_arg("value"))
            self.checkpoint()
        elif message.kind == "crash":
            os._exit(3)
        elif message.kind != "items":
            return self.not_handled()
        return self.state.items


class Sender(Paglet[ListState]):
    """Sends one-way messages for whoever asks."""

    State = ListState

    def handle_message(self, message: Message) -> Any:
        """``send``: to ``agent_id`` at ``host_url``."""
        proxy = self.context.get_proxy(message.get_arg("agent_id"), message.get_arg("host_url"))
        assert proxy is not None
        proxy.send_oneway(Message("note", {"value": message.get_arg("value")}))
        return True


class Stubborn(Lister):
    """Is started again however often it ends."""

    RESTART = RestartPolicy(max_restarts=10, window=60.0, backoff=0.01)
