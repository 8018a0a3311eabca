"""A state as people and programs are shown it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from paglets.core.errors import SerializationError
from paglets.runtime.child.link import head_of
from paglets.runtime.child_specs import MAX_STATE_TEXT
from paglets.runtime.frames import StateText
from paglets.runtime.memory_files import Payload
from paglets.serialization.values import to_json

if TYPE_CHECKING:
    from typing import Any

    from paglets.runtime.child.link import ChildLink


def send_state_text(link: ChildLink, seq: int, state: Any) -> None:
    """Answer with a state's plain values as JSON text; ``SerializationError`` when it is too long."""
    text = to_json(state, for_people=True, limit=sys.maxsize)
    if len(text) > MAX_STATE_TEXT:
        raise SerializationError(
            f"the state is {len(text)} bytes as JSON, over the bound of {MAX_STATE_TEXT}; "
            "it can be moved and parked, and the paglet asked for parts of it"
        )
    with Payload.of(text) as payload:
        link.send(StateText(seq, head_of(payload)), payload)
