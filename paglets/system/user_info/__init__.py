"""The user-info service: a bounded history of what people should see, for any number of readers.

::

    user = self.require_contract(USER_INFO)
    user.call(NOTIFY, UserNotification(NotificationSeverity.INFO, "Backup", "300 files copied"))
    news = user.call(STREAM, StreamRequest(after_cursor=seen, wait_timeout=2.0))
"""

from __future__ import annotations

from paglets.system.user_info.contract import (
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
