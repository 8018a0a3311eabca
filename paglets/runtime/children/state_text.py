"""The JSON text of a state, as a child hands it over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paglets.core.errors import SerializationError
from paglets.runtime.child_specs import MAX_STATE_TEXT
from paglets.runtime.children.json_text import check_json

if TYPE_CHECKING:
    from paglets.runtime.memory_files import Payload


async def state_text(payload: Payload) -> bytes:
    """The text, checked, and read off the loop when it is long; closes the payload.

    ``FrameError`` for what is not one JSON value, ``SerializationError`` for more than may be.
    """
    if payload.size > MAX_STATE_TEXT:
        payload.close()
        raise SerializationError(
            f"a state of {payload.size} bytes as JSON is over the bound of {MAX_STATE_TEXT}"
        )
    if payload.data is not None:
        return _read(payload)
    # Not cancelled with its caller: the thread closes the file, when it has read it.
    return await asyncio.shield(asyncio.to_thread(_read, payload))


def _read(payload: Payload) -> bytes:
    with payload:
        return check_json(payload.read(), "a state")
