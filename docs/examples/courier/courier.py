"""Brings a file to another host, and leaves a note about every delivery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.patterns.file_mobility import FileTransferState, SingleFileTransferPaglet, format_bytes

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent
    from paglets.core.messages import Message


@dataclass
class CourierState(FileTransferState):
    """What a transfer needs, and where the courier has been."""

    route: list[str] = field(default_factory=list[str])


class Courier(SingleFileTransferPaglet):
    """Messages: those of a task, and ``route``: the hosts that it came to, with what it had with it."""

    State = CourierState

    def on_arrival(self, event: MobilityEvent) -> None:
        size = sum(file.size_bytes for file in self.registered_files())
        if isinstance(self.state, CourierState):
            self.state.route.append(f"{event.host_name}: {format_bytes(size)}")
        super().on_arrival(event)

    def handle_task_message(self, message: Message) -> Any:
        if message.kind == "route" and isinstance(self.state, CourierState):
            return self.state.route
        return super().handle_task_message(message)
