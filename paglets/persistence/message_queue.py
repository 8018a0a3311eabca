"""Messages that wait durably for paglets: in order, once each, bounded."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from paglets.persistence.errors import QueueFullError, RecordDamagedError
from paglets.persistence.table import id_key, number_key
from paglets.persistence.tables import QueueState, Tables

if TYPE_CHECKING:
    import builtins

    import lmdb

    from paglets.persistence.records import QueuedRecord
    from paglets.persistence.settings import StoreSettings


class MessageQueue:
    """The queues of all paglets, within one transaction."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables

    def list(self, agent_id: str) -> list[QueuedRecord]:
        """What waits for a paglet, oldest first."""
        prefix = id_key(agent_id) + b"\0"
        return [record for _, record in self._tables.queue.scan(self._txn, prefix=prefix)]

    def get(self, agent_id: str, message_id: str) -> QueuedRecord | None:
        """The message of that id that waits for a paglet, if one does."""
        agent = id_key(agent_id)
        number = self._tables.queue_index.get(self._txn, _index_key(agent, message_id))
        return (
            None if number is None else self._tables.queue.get(self._txn, agent + b"\0" + number_key(number))
        )

    def state(self, agent_id: str) -> QueueState:
        """How much waits for a paglet."""
        return self._tables.queue_states.get(self._txn, id_key(agent_id)) or QueueState()

    def has_messages(self, agent_id: str) -> bool:
        """Whether any wait for a paglet; when that cannot be told any more, somebody has to look."""
        try:
            return self.state(agent_id).messages > 0
        except RecordDamagedError:
            return True

    def owners(self) -> builtins.list[str]:
        """For whom anything waits, in the order of ids."""
        return [key.decode("utf-8") for key in self._tables.queue_states.keys(self._txn)]

    def append(self, agent_id: str, record: QueuedRecord, settings: StoreSettings) -> bool:
        """Put a message at the end; False when one of its id waits, ``QueueFullError`` over a bound."""
        agent = id_key(agent_id)
        index = _index_key(agent, record.message_id)
        if self._tables.queue_index.get(self._txn, index) is not None:
            return False
        state = self.state(agent_id)
        size = len(record.message)
        if state.messages >= settings.max_queued_messages or state.size + size > settings.max_queued_bytes:
            raise QueueFullError(
                f"{state.messages} messages ({state.size} bytes) wait for paglet {agent_id} already; "
                "activate or dispose of it, or send again later"
            )
        number = state.next_number
        self._tables.queue.put(self._txn, agent + b"\0" + number_key(number), record)
        self._tables.queue_index.put(self._txn, index, number)
        self._put_state(agent, QueueState(number + 1, state.messages + 1, state.size + size))
        return True

    def replace(self, agent_id: str, record: QueuedRecord) -> bool:
        """Put a message in the place of the one with its id, of the same size; whether there was one."""
        agent = id_key(agent_id)
        number = self._tables.queue_index.get(self._txn, _index_key(agent, record.message_id))
        if number is None:
            return False
        self._tables.queue.put(self._txn, agent + b"\0" + number_key(number), record)
        return True

    def drop(self, agent_id: str, message_id: str) -> bool:
        """Take one message off the queue; whether it was there."""
        agent = id_key(agent_id)
        index = _index_key(agent, message_id)
        number = self._tables.queue_index.get(self._txn, index)
        if number is None:
            return False
        key = agent + b"\0" + number_key(number)
        record = self._tables.queue.get(self._txn, key)
        state = self.state(agent_id)
        size = len(record.message) if record is not None else 0
        self._tables.queue.delete(self._txn, key)
        self._tables.queue_index.delete(self._txn, index)
        self._put_state(agent, QueueState(state.next_number, state.messages - 1, state.size - size))
        return True

    def drop_all(self, agent_id: str) -> bool:
        """Empty a paglet's queue; whether there was anything in it."""
        agent = id_key(agent_id)
        found = False
        for table in (self._tables.queue, self._tables.queue_index):
            for key in table.keys(self._txn, prefix=agent + b"\0"):
                found = table.delete(self._txn, key) or found
        return self._tables.queue_states.delete(self._txn, agent) or found

    def _put_state(self, agent: bytes, state: QueueState) -> None:
        if state.messages > 0:
            self._tables.queue_states.put(self._txn, agent, state)
        else:
            self._tables.queue_states.delete(self._txn, agent)


def _index_key(agent: bytes, message_id: str) -> bytes:
    # Message ids come from senders, of any length; keys are bounded.
    return agent + b"\0" + sha256(message_id.encode("utf-8")).digest()
