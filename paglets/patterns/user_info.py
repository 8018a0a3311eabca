"""The contract of the user-info service: telling the people who use a mesh something.

The service itself is ``paglets.system.user_info``; what it is asked stands here, because those who ask must
not depend on those who answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from paglets.services.contracts import ServiceContract
from paglets.services.operations import ServiceOperation

USER_INFO_AGENT_ID = "service.user-info"
"""The id of its provider, the same on every host."""


class NotificationSeverity(Enum):
    """How much a notification matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(slots=True)
class UserNotification:
    """Something that people should see."""

    severity: NotificationSeverity
    title: str
    message: str = ""
    job_id: str = ""
    """What it is about, where several notifications are about the same."""
    agent_id: str = ""
    """Who tells it."""
    host_name: str = ""
    """Where that one was."""
    host_url: str = ""
    created_at: float = field(default_factory=time.time)
    """Seconds since the epoch, by that host's clock."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class NotifyReply:
    """The number that the notification has in the provider's stream."""

    cursor: int = 0


@dataclass(slots=True)
class StreamRequest:
    """What came after that cursor, ``limit`` notifications at most; wait so long for the first (seconds)."""

    after_cursor: int = 0
    limit: int = 100
    wait_timeout: float = 0.0


@dataclass(slots=True)
class StreamReply:
    """Notifications in order, the cursor to go on from, and whether there are more already."""

    notifications: list[UserNotification] = field(default_factory=list[UserNotification])
    cursor: int = 0
    more: bool = False
    dropped: int = 0
    """Notifications after the cursor asked for that the provider no longer has."""


NOTIFY = ServiceOperation("notify", UserNotification, NotifyReply)
STREAM = ServiceOperation("stream", StreamRequest, StreamReply)
USER_INFO = ServiceContract("user-info", (NOTIFY, STREAM))
