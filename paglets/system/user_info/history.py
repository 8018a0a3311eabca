"""The notifications that are kept: bounded in number and size, numbered from 1. No I/O."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from paglets.core.agent import PagletState
from paglets.serialization.values import to_json
from paglets.system.user_info.contract import StreamReply, StreamRequest, UserNotification

MAX_NOTIFICATIONS = 500
MAX_BYTES = 256 * 1024
"""Of all that are kept, in JSON. Each change of the history writes it to disk as a whole."""
MAX_TITLE = 256
"""Characters; the name of a job, a paglet or a host, and a URL, too."""
MAX_MESSAGE = 4096
MAX_METADATA_BYTES = 4096
"""In JSON; more is left out as a whole."""
MAX_REPLY = 200
"""Notifications in one answer."""
_CUT = "…"


@dataclass(slots=True)
class UserInfoState(PagletState):
    """The history. The last of ``notifications`` has the number ``next_cursor - 1``."""

    notifications: list[UserNotification] = field(default_factory=list[UserNotification])
    next_cursor: int = 1
    size_bytes: int = 0

    @property
    def first_cursor(self) -> int:
        """The number of the oldest that is kept, or would be."""
        return self.next_cursor - len(self.notifications)


def append(state: UserInfoState, notification: UserNotification) -> int:
    """Keep a notification, cut to size, and forget the oldest beyond the bounds; its number."""
    kept = _cut(notification)
    state.notifications.append(kept)
    state.size_bytes += _size(kept)
    gone = 0
    while len(state.notifications) - gone > MAX_NOTIFICATIONS or state.size_bytes > MAX_BYTES:
        state.size_bytes -= _size(state.notifications[gone])
        gone += 1
    del state.notifications[:gone]
    state.next_cursor += 1
    return state.next_cursor - 1


def drain(state: UserInfoState, request: StreamRequest) -> StreamReply:
    """What came after a cursor; nothing is taken away, so readers do not disturb each other.

    A cursor that was never given is of an earlier history, which is lost; its reader begins anew.
    """
    after = request.after_cursor if 0 <= request.after_cursor < state.next_cursor else 0
    first = state.first_cursor
    begin = max(0, after + 1 - first)
    limit = max(1, min(request.limit, MAX_REPLY))
    found = state.notifications[begin : begin + limit]
    return StreamReply(
        notifications=found,
        cursor=max(first + begin - 1, after) + len(found),
        more=begin + len(found) < len(state.notifications),
        dropped=max(0, first - after - 1),
    )


def _cut(notification: UserNotification) -> UserNotification:
    return dataclasses.replace(
        notification,
        message=_shortened(notification.message, MAX_MESSAGE),
        metadata=_bounded(notification.metadata),
        **{
            name: _shortened(getattr(notification, name), MAX_TITLE)
            for name in ("title", "job_id", "agent_id", "host_name", "host_url")
        },
    )


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT


def _bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    return metadata if len(to_json(metadata)) <= MAX_METADATA_BYTES else {"truncated": True}


def _size(notification: UserNotification) -> int:
    return len(to_json(notification))
