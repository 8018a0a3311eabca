"""The user-info service: takes notifications, keeps the latest, and gives them to whoever asks."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar

from paglets.core.agent import Paglet
from paglets.core.errors import PagletError
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.services.resident import ResidentServiceSpec
from paglets.system.user_info.contract import (
    NOTIFY,
    STREAM,
    USER_INFO,
    USER_INFO_AGENT_ID,
    NotifyReply,
    StreamReply,
    StreamRequest,
    UserNotification,
)
from paglets.system.user_info.history import UserInfoState, append, drain

if TYPE_CHECKING:
    from paglets.core.messages import Message

logger = logging.getLogger(__name__)

MAX_WAIT = 2.0
"""Seconds that a request for news waits at most, whatever it asks for."""
_LOOK = 0.2
"""Seconds between looks whether somebody else wants something."""
_WRITE_PAUSE = 1.0
"""Seconds between writes, however many notifications come: they go to flash memory."""
_FAILED_WRITE_PAUSE = 30.0


class UserInfo(Paglet[UserInfoState]):
    """Keeps what people should see. A notification is durable a second after it was taken, at the latest."""

    State = UserInfoState
    RESIDENT_SERVICES: ClassVar[tuple[ResidentServiceSpec, ...]] = (
        ResidentServiceSpec(
            USER_INFO,
            scope=ServiceScope.MESH,
            lifecycle=ResidentLifecycle.LAZY,
            agent_id=USER_INFO_AGENT_ID,
        ),
    )

    def __init__(self, state: UserInfoState | None = None, *, agent_id: str | None = None) -> None:
        super().__init__(state, agent_id=agent_id)
        self._unsaved = False  # under the lock

    def handle_message(self, message: Message) -> Any:
        """Answer the operations of ``USER_INFO``."""
        return USER_INFO.route(
            message, {NOTIFY: self._notify, STREAM: self._stream}, default=self.not_handled
        )

    def run(self) -> None:
        """Write down what came, until the paglet leaves."""
        while True:
            self.wait_state(lambda: self._unsaved)
            self._unsaved = False
            pause = _WRITE_PAUSE
            try:
                self.checkpoint()
            except PagletError:
                logger.warning("notifications could not be written down", exc_info=True)
                self._unsaved = True
                pause = _FAILED_WRITE_PAUSE
            self.wait_state(lambda: False, timeout=pause)  # a pause that ends when the paglet leaves

    def _notify(self, notification: UserNotification) -> NotifyReply:
        with self.locked_state() as state:
            cursor = append(state, notification)
            self._unsaved = True
        self.notify_all_state_changed()
        return NotifyReply(cursor)

    def _stream(self, request: StreamRequest) -> StreamReply:
        """Wait for news, and give way as soon as anybody else has a message here.

        Messages are handled one at a time, so news cannot come before this one has been answered: the next
        request brings them.
        """
        with self.locked_state() as state:
            reply = drain(state, request)
        deadline = time.monotonic() + min(request.wait_timeout, MAX_WAIT)
        while not reply.notifications and (left := deadline - time.monotonic()) > 0:
            self.wait_state(lambda: False, timeout=min(left, _LOOK))
            if self._somebody_waits():
                break
        return reply

    def _somebody_waits(self) -> bool:
        own = self.context.host.proxy_for(self.context.address, self.agent_id)
        return bool(own.info()["waiting_messages"])
