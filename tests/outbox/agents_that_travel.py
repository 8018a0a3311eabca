"""Paglets that want to go to hosts that are away."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import TransferError
from paglets.core.messages import Message
from paglets.remote.transfer import TransferTicket

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent, PersistencyEvent


@dataclass
class TravelState(PagletState):
    """What happened, in order."""

    log: list[Any] = field(default_factory=list[Any])


class Traveller(Paglet[TravelState]):
    """Writes down its hooks and what it is told, and goes where it is told."""

    State = TravelState

    def on_dispatching(self, event: MobilityEvent) -> None:
        """It leaves its process."""
        self.state.log.append(f"leaves for {event.target_host_name}")

    def on_arrival(self, event: MobilityEvent) -> None:
        """It is there."""
        self.state.log.append(f"arrived at {event.host_name}")

    def on_dispatch_failed(self, event: MobilityEvent) -> None:
        """It did not move, and goes on in its process."""
        self.state.log.append("failed")

    def on_activation(self, event: PersistencyEvent) -> None:
        """It is at work again."""
        told = event.request.metadata if event.request is not None else {}
        self.state.log.append((event.reason, sorted(told)))

    def handle_message(self, message: Message) -> Any:
        """``note``, ``log``, ``go``: to ``target``, queued; ``pack``: with a file."""
        if message.kind == "go":
            return self._go(str(message.get_arg("target")))
        if message.kind == "pack":
            path = self.work_dir() / "luggage"
            path.write_text("luggage")
            self.register_file(path, name="luggage")
        elif message.kind == "unpack":
            return Path(self.file_path("luggage")).read_text()
        elif message.kind == "note":
            self.state.log.append(message.get_arg("value"))
        elif message.kind != "log":
            return self.not_handled()
        return self.state.log

    def _go(self, target: str) -> Any:
        try:
            proxy = self.dispatch(TransferTicket(target, queue=True))
        except TransferError as error:
            return str(error)
        self.state.log.append("lost, as it comes after the call")
        return proxy.host_url


class Refused(Traveller):
    """A class that one host will not have."""


class Correspondent(Paglet[TravelState]):
    """Writes several messages through one proxy."""

    State = TravelState

    def handle_message(self, message: Message) -> Any:
        """``write``: the ``values`` to ``agent_id`` at ``host_url``; where it has found it each time."""
        proxy = self.context.get_proxy(message.get_arg("agent_id"), message.get_arg("host_url"))
        assert proxy is not None
        places: list[str] = []
        for value in message.get_arg("values"):
            proxy.send(Message("note", {"value": value}))
            places.append(proxy.host_url)
        return places
