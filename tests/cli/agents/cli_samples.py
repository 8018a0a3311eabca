"""Paglets that the command line is tried with."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState

if TYPE_CHECKING:
    from paglets.core.events import CreationEvent
    from paglets.core.messages import Message


@dataclass
class NotebookState(PagletState):
    title: str = "untitled"
    lines: list[str] = field(default_factory=list[str])


class Notebook(Paglet[NotebookState]):
    """Takes notes."""

    State = NotebookState

    def on_creation(self, event: CreationEvent) -> None:
        if event.init is not None:
            self.state.lines.append(str(event.init))

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "note":
                text = str(message.get_arg("text"))
                self.state.lines.append(text)
                sys.stdout.write(f"noted: {text}\n")
                return len(self.state.lines)
            case "read":
                return self.state.lines
            case "echo":
                return {"args": message.args, "arg": message.arg}
            case "fail":
                raise ValueError("the pencil is broken")
            case _:
                return self.not_handled()
