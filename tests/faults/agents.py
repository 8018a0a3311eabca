"""Paglets that tell where they have been, and stop at the points that a test has armed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import TransferError
from paglets.remote.transfer import TransferTicket
from paglets.testing.points import here

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent, PersistencyEvent
    from paglets.core.messages import Message


@dataclass
class Notes(PagletState):
    count: int = 0
    log: list[str] = field(default_factory=list[str])
    ballast: bytes = b""


class Traveller(Paglet[Notes]):
    """Counts, travels, and logs its hooks."""

    State = Notes

    def on_creation(self, event: CreationEvent) -> None:
        self._note("creation", event.host_name)

    def on_dispatching(self, event: MobilityEvent) -> None:
        self._note("dispatching", event.host_name)

    def on_reverting(self, event: MobilityEvent) -> None:
        self._note("reverting", event.host_name)

    def on_dispatch_failed(self, event: MobilityEvent) -> None:
        self._note("dispatch_failed", event.host_name)

    def on_arrival(self, event: MobilityEvent) -> None:
        self._note("arrival", event.host_name)

    def on_cloning(self, event: CloneEvent) -> None:
        self._note("cloning", event.host_name)

    def on_clone(self, event: CloneEvent) -> None:
        self._note("clone", event.host_name)

    def on_cloned(self, event: CloneEvent) -> None:
        self._note("cloned", event.host_name)

    def on_deactivating(self, event: PersistencyEvent) -> None:
        self._note("deactivating", event.host_name)

    def on_activation(self, event: PersistencyEvent) -> None:
        self._note(f"activation:{event.reason}", event.host_name)

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "add":
                self.state.count += message.get_arg("by", 1)
                return self.state.count
            case "save":
                self.state.count += message.get_arg("by", 1)
                self.checkpoint()
                return self.state.count
            case "load":
                self.state.ballast = bytes(message.get_arg("bytes", 0))
                self.checkpoint()
                return len(self.state.ballast)
            case "look":
                return {"count": self.state.count, "log": self.state.log, "pid": os.getpid()}
            case "go":
                return self._go(message)
            case "park":
                self.state.count += 1000
                self.deactivate()
                here().at("parked")
                return "parked"
            case "queue":
                self.state.count += 1000
                self.dispatch(TransferTicket(message.get_arg("to"), queue=True))
                here().at("queued")
                return "queued"
            case "helper":
                return subprocess.Popen(["sleep", "60"]).pid
            case "wait":
                here().at(message.get_arg("point"))
                return "waited"
            case _:
                return self.not_handled()

    def _go(self, message: Message) -> Any:
        ticket = TransferTicket(message.get_arg("to"), timeout=message.get_arg("timeout", 10.0))
        try:
            moved = self.dispatch(ticket)
        except TransferError as error:
            here().at("go-failed")
            return f"{type(error).__name__}: {error}"
        here().at("gone")
        return moved.to_wire()

    def _note(self, hook: str, host: str) -> None:
        self.state.log.append(f"{hook}@{host}")
        here().at(hook)
