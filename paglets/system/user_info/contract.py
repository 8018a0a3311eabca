"""The contract of the user-info service, which those who notify share: see ``paglets.patterns.user_info``."""

from __future__ import annotations

from paglets.patterns.user_info import (
    NOTIFY,
    STREAM,
    USER_INFO,
    USER_INFO_AGENT_ID,
    NotificationSeverity,
    NotifyReply,
    StreamReply,
    StreamRequest,
    UserNotification,
)

__all__ = [
    "NOTIFY",
    "STREAM",
    "USER_INFO",
    "USER_INFO_AGENT_ID",
    "NotificationSeverity",
    "NotifyReply",
    "StreamReply",
    "StreamRequest",
    "UserNotification",
]
