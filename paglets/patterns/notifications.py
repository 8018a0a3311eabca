"""Telling people something, without ever failing for it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from paglets.core.runtime_values import ServiceScope
from paglets.patterns.user_info import NOTIFY, USER_INFO, NotificationSeverity, UserNotification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paglets.core.context import PagletContext

__all__ = ["NotificationMixin", "NotificationSeverity"]

logger = logging.getLogger(__name__)


class Notifier(Protocol):
    """Who can notify: whoever has a context, as every paglet."""

    @property
    def context(self) -> PagletContext:
        """Its view of its host."""
        ...


class NotificationMixin:
    """For paglets that tell the people who use the mesh what happens."""

    def notify_user_info(
        self: Notifier,
        severity: NotificationSeverity,
        title: str,
        message: str,
        *,
        job_id: str = "",
        timeout: float = 2.0,
        scope: ServiceScope = ServiceScope.MESH,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Tell the user-info service; whether somebody took it, within ``timeout`` seconds.

        Never raises: a paglet without a host, a mesh without the service, a service that does not answer and
        a value that cannot be told all give False. The service of the paglet's own host is tried first.
        """
        try:
            return _tell(
                self.context,
                UserNotification(
                    severity=NotificationSeverity(severity),
                    title=title,
                    message=message,
                    job_id=job_id,
                    metadata=dict(metadata or {}),
                ),
                scope,
                time.monotonic() + timeout,
            )
        except Exception:
            logger.debug("people could not be told", extra={"title": str(title)}, exc_info=True)
            return False


def _tell(
    context: PagletContext, notification: UserNotification, scope: ServiceScope, deadline: float
) -> bool:
    notification.agent_id = context.agent_id or ""
    notification.host_name = context.name
    notification.host_url = context.address
    found = context.lookup_contracts(USER_INFO, operation=NOTIFY, scope=scope)
    here_first = sorted(found, key=lambda handle: handle.record.host_url != context.address)
    for handle in here_first:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            handle.call(NOTIFY, notification, timeout=left)
        except Exception:
            logger.debug(
                "a provider did not take it", extra={"host_url": handle.record.host_url}, exc_info=True
            )
        else:
            return True
    return False
