"""Messages brought to a host as another host's outbox brings them, at the very moment that a test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.persistence import outbox_rules
from paglets.remote.api import MessageParams
from paglets.runtime.outbox.judging import followed, judge, plain, queued_record
from paglets.serialization.values import to_json
from tests.outbox.asking import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.records import QueuedRecord
    from paglets.persistence.store import Store
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


def life_of(host: Host) -> Any:
    return getattr(host, "_life")  # noqa: B009 - there is no door to this on purpose


def waiting_at(host: Host, agent_id: str) -> list[QueuedRecord]:
    """The durable queue of a paglet there."""
    store: Store = life_of(host).store
    return store.read_sync(lambda tx: tx.queued(agent_id))


def as_brought(proxy: PagletProxy, text: str) -> MessageParams:
    """A note for a paglet, as another host's outbox brings it."""
    message = note(text)
    body = msgspec.Raw(to_json({"args": message.args}))
    return plain(MessageParams(proxy.agent_id, kind=message.kind, message_id=message.message_id, body=body))


def received(tx: LmdbTransaction, number: int, params: MessageParams) -> outbox_rules.Received:
    """Taken in under that number of a host elsewhere."""
    return outbox_rules.receive(
        tx, "elsewhere", number, 0, params.agent_id, queued_record(params),
        lambda record: judge(record, params.agent_id, no_delay=False, wakes=True), followed,
    )  # fmt: skip


def receives(number: int, params: MessageParams) -> Callable[[LmdbTransaction], outbox_rules.Received]:
    """The rule by which it is taken in."""
    return lambda tx: received(tx, number, params)


def put_unseen(host: Host, params: MessageParams) -> None:
    """It is in the queue of its paglet, and nobody was told, as when a host ends just then."""
    life_of(host).thread.run(life_of(host).store.commit(receives(1, params)), 30.0)
