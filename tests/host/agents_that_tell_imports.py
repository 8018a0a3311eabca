"""A paglet whose module tells of each process that imports it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState

if TYPE_CHECKING:
    from paglets.core.messages import Message

IMPORTS = "PAGLETS_TEST_IMPORTS"

if IMPORTS in os.environ:
    with Path(os.environ[IMPORTS]).open("a", encoding="utf-8") as told:
        told.write(f"{os.getpid()}\n")


@dataclass
class Nothing(PagletState):
    pass


class Telling(Paglet[Nothing]):
    """Answers ``pid``; defines no hook."""

    State = Nothing

    def handle_message(self, message: Message) -> Any:
        if message.kind == "pid":
            return os.getpid()
        return self.not_handled()
