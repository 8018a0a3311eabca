"""What other hosts have brought lately without their outbox."""

from __future__ import annotations

from collections import OrderedDict

_REMEMBERED = 8192


class LatelyTaken:
    """The one-way messages that other hosts have brought directly; in memory, bounded.

    A host whose connection broke before the answer came puts the message into its outbox, although it may have
    been taken here. As long as this host runs, it knows.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, agent_id: str, message_id: str) -> None:
        """A message is in the mailbox of its paglet."""
        self._known[agent_id, message_id] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def knows(self, agent_id: str, message_id: str) -> bool:
        """Whether that message was taken."""
        return (agent_id, message_id) in self._known
