"""Paglets whose processes end, under the policies that their classes name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.agent import NOT_HANDLED
from paglets.core.policies import CheckpointPolicy, RestartPolicy
from tests.host.agents import Recorder, Server

if TYPE_CHECKING:
    from paglets.core.events import PersistencyEvent
    from paglets.core.messages import Message

QUICK = RestartPolicy(max_restarts=2, window=60.0, backoff=0.02)


class Fragile(Server):
    """Is started again twice; ``garble`` sends its host what is no frame."""

    RESTART = QUICK

    def own(self, message: Message) -> Any:
        if message.kind == "garble":
            os.write(3, b"\xff" * 100)
            self.gate.wait(20)
        return super().own(message)


class Slow(Fragile):
    """Takes a second to come back."""

    RESTART = RestartPolicy(max_restarts=2, window=60.0, backoff=1.0)


class Doomed(Recorder):
    """Its process dies, or its hook raises (``init`` says), as often as the file that ``mark`` names is long."""

    RESTART = QUICK

    def on_activation(self, event: PersistencyEvent) -> None:
        how, marks, times = self.state.init
        file = Path(marks)
        tried = len(file.read_bytes()) if file.exists() else 0
        file.write_bytes(b"x" * (tried + 1))
        if tried < times:
            if how == "die":
                os._exit(7)
            raise ValueError(f"not yet, {tried} times")
        super().on_activation(event)

    def own(self, message: Message) -> Any:
        return os._exit(6) if message.kind == "die" else NOT_HANDLED


class Careful(Fragile):
    """Every message that it has handled is durable."""

    CHECKPOINT = CheckpointPolicy.every_message()


class Punctual(Fragile):
    """What it has handled is durable a moment later."""

    CHECKPOINT = CheckpointPolicy.at_most_every(0.2)


class Late(Fragile):
    """What it has handled is durable much later."""

    CHECKPOINT = CheckpointPolicy.at_most_every(1000.0)
