"""The paglet of rehearsals: like most, a dataclass and a class. Imported by a rehearsal only, as an author's is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState

if TYPE_CHECKING:
    from paglets.core.messages import Message


@dataclass
class SampleState(PagletState):
    """What most states are made of."""

    count: int = 0
    name: str = ""
    data: bytes = b""
    table: dict[str, list[int]] = field(default_factory=dict[str, list[int]])


class Sample(Paglet[SampleState]):
    """Counts."""

    State = SampleState

    def handle_message(self, message: Message) -> Any:
        """Count a message."""
        if message.kind == "count":
            self.state.count += 1
            return self.state.count
        return self.not_handled()
