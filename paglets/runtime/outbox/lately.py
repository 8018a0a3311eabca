"""What other hosts have brought lately without their outbox."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.remote.api import MessageParams

_REMEMBERED = 8192


class LatelyTaken:
    """The one-way messages that other hosts have brought directly; in memory, bounded.

    A host whose connection broke before the answer came puts the message into its outbox, although it may have
    been taken here. As long as this host runs, it knows. A message that was sent on from here, after its paglet, and
    comes back with the paglet has followed further forwards by then: it is no copy of the one that was taken.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, Incarnation | None], None] = OrderedDict()

    def note(self, message: MessageParams) -> None:
        """A message is in the mailbox or the queue of its paglet, or on its way after it."""
        self._known[message.agent_id, message.message_id, message.followed] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def knows(self, message: MessageParams) -> bool:
        """Whether that message was taken, having come the same way."""
        return (message.agent_id, message.message_id, message.followed) in self._known
