"""A paglet that sends one-way messages, for hosts that are started by the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.messages import Message


@dataclass
class Nothing(PagletState):
    """It has no state."""


class Sender(Paglet[Nothing]):
    """Sends ``hello`` to ``agent_id`` at ``host_url``."""

    State = Nothing

    def handle_message(self, message: Message) -> Any:
        """Any kind."""
        proxy = self.context.get_proxy(message.get_arg("agent_id"), message.get_arg("host_url"))
        assert proxy is not None
        proxy.send_oneway(Message("hello"))
        return True
