"""The paglets of the fault laboratory: they count what happens to them, in their state."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from paglets.core.agent import CheckpointPolicy, Paglet, PagletState
from paglets.core.errors import PagletError, TransferError
from paglets.core.messages import Message
from paglets.remote.transfer import TransferTicket

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent, MobilityEvent

_HOP_SECONDS = 5.0


@dataclass
class Logbook(PagletState):
    parent: str = ""
    """The paglet that this one is a clone of."""
    arrivals: int = 0
    saved: int = 0
    heard: list[int] = field(default_factory=list[int])
    """Numbers of the notes that it has handled, in that order."""
    when: list[str] = field(default_factory=list[str])
    """And where and when."""
    route: list[str] = field(default_factory=list[str])
    """Where it goes next by itself."""
    gone: list[str] = field(default_factory=list[str])
    """Ids of the messages by which it was sent away."""
    ballast: bytes = b""
    digest: str = ""
    """Of the file that it has with it."""


class Tourist(Paglet[Logbook]):
    """Travels, and saves when it is told to."""

    State = Logbook

    def on_arrival(self, event: MobilityEvent) -> None:
        self.state.arrivals += 1

    def on_clone(self, event: CloneEvent) -> None:
        state = self.state
        state.parent, state.arrivals, state.saved = event.source_agent_id, 0, 0
        state.heard, state.when, state.route = [], [], []

    def run(self) -> None:
        if not self.state.route:
            return
        target = self.state.route.pop(0)
        try:
            self.dispatch(TransferTicket(target, timeout=_HOP_SECONDS))
        except PagletError:
            self.state.route.clear()

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "save":
                self.state.saved += 1
                self.checkpoint()
                return self.state.saved
            case "note":
                self.state.heard.append(message.get_arg("number"))
                self.state.when.append(f"{self.context.name} {time.strftime('%H:%M:%S')}")
                return len(self.state.heard)
            case "go" if message.message_id in self.state.gone:
                return "stayed"  # a queued message whose handler a crash has interrupted comes again
            case "go":
                self.state.gone.append(message.message_id)
                self.state.route = list(message.get_arg("then", []))
                return self._go(TransferTicket(message.get_arg("to"), timeout=message.get_arg("patience")))
            case "post":
                return self._post(message)
            case "load":
                self.state.ballast = bytes(message.get_arg("bytes"))
                self.checkpoint()
                return len(self.state.ballast)
            case "look":
                return self._look()
            case _:
                return self.not_handled()

    def _go(self, ticket: TransferTicket) -> Any:
        try:
            return self.dispatch(ticket).to_wire()
        except TransferError:
            self.state.route = []
            self.checkpoint()  # or its next life would set out on the route that was in the state it packed
            return "stayed"

    def _post(self, message: Message) -> str:
        proxy = self.context.get_proxy(message.get_arg("to"), message.get_arg("url"))
        if proxy is None:
            return "nobody"
        number = message.get_arg("number")
        proxy.send_oneway(Message("note", {"number": number}, message_id=f"note-{number}"))
        return "posted"

    def _look(self) -> dict[str, Any]:
        state = self.state
        return {
            "parent": state.parent,
            "arrivals": state.arrivals,
            "saved": state.saved,
            "heard": state.heard,
            "when": state.when,
            "file": self._file(),
        }

    def _file(self) -> str:
        return "none"


class Scribe(Tourist):
    """A tourist of whom every answer is durable."""

    CHECKPOINT: ClassVar[CheckpointPolicy] = CheckpointPolicy.every_message()


class Porter(Scribe):
    """A scribe that has a file with it."""

    def handle_message(self, message: Message) -> Any:
        if message.kind != "pack":
            return super().handle_message(message)
        ref = self.register_file(message.get_arg("path"), name="file", mode=message.get_arg("mode"))
        self.state.digest = ref.sha256
        self.checkpoint()
        return ref.sha256

    def _file(self) -> str:
        if not self.state.digest:
            return "none"
        found = hashlib.sha256(self.file_path("file").read_bytes()).hexdigest()
        return "whole" if found == self.state.digest else "damaged"
