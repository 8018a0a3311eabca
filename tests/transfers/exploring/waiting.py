"""Messages that wait durably for a paglet, and the forwards and tombstones that are forgotten one day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from paglets.core.incarnation import Incarnation
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import PagletRecord, Phase, QueuedRecord
from tests.transfers.exploring.choices import NotNowError, duty, will
from tests.transfers.exploring.messages import HandOver, Letter
from tests.transfers.exploring.stores import queued
from tests.transfers.exploring.world import BrokenPromiseError, HostState, Life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.draft import Draft

LONG_AFTER = 1e9


def of_what_waits(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    """The steps of messages at one host, for one paglet."""
    agent_id = record.agent_id
    if maker.may("messages") and record.phase in {Phase.INACTIVE, Phase.PREPARED}:
        yield will(accept, name, agent_id, f"m{maker.left('messages')}", spend="messages")
    for message in queued(host.store, agent_id):
        if Life(agent_id, record.incarnation) in host.children and record.phase is Phase.ACTIVE:
            yield duty(handle, name, agent_id, message.message_id)
        forward = maker.scope.rules.follow(record, followed(message))
        if forward is not None:
            letter = Letter(name, forward.host_id, agent_id, message.message_id, forward.incarnation)
            begun = HandOver(name, letter, message.message)
            if not maker.is_sent(begun):
                yield duty(set_about, begun)
    if record.phase in {Phase.DEPARTED, Phase.TOMBSTONE} and maker.may("forgets"):
        yield will(forget, name, record, spend="forgets")


def accept(draft: Draft, name: str, agent_id: str, message_id: str) -> str:
    enqueue(draft, name, agent_id, message_id)
    draft.note("accepted", agent_id, message_id)
    return f"{name} queues {message_id} for {agent_id}"


def enqueue(draft: Draft, name: str, agent_id: str, message_id: str) -> None:
    """Accept a message durably."""
    try:
        draft.commit(name, "enqueue", agent_id, as_queued(message_id))
    except JournalConflict:
        raise NotNowError from None


def as_queued(message_id: str, followed: Incarnation | None = None) -> QueuedRecord:
    """A message as it waits; ``followed``: the forward that it came by."""
    return QueuedRecord(message_id, msgspec.json.encode(followed), oneway=True, queued_at=0.0)


def followed(message: QueuedRecord) -> Incarnation | None:
    """The forward that it came by."""
    return msgspec.json.decode(message.message, type=Incarnation | None)


def handle(draft: Draft, name: str, agent_id: str, message_id: str) -> str:
    if draft.known("handled", agent_id, message_id) and not any(
        draft.known("restored", host) for host in draft.scope.host_ids
    ):
        raise BrokenPromiseError(f"message {message_id} for {agent_id} is handled twice")
    draft.commit(name, "take_message", agent_id, message_id)
    draft.note("handled", agent_id, message_id)
    return f"{name}: {agent_id} handles {message_id}"


def set_about(draft: Draft, begun: HandOver) -> str:
    draft.send(begun)
    letter = begun.letter
    return f"{letter.waits_at} sees that {letter.message_id} leads on to {letter.target}"


def hand_on(draft: Draft, begun: HandOver) -> str:
    """Off the queue and into the outbox, in one commit."""
    name, letter = begun.at, begun.letter
    seen = QueuedRecord(letter.message_id, begun.seen, oneway=True, queued_at=0.0)
    try:
        there = draft.commit(name, "hand_on", letter.agent_id, letter.followed, seen)
    except JournalConflict:
        raise NotNowError from None
    if there:
        draft.put(name, outbox=draft.host(name).outbox | {letter})
    return f"{name} keeps {letter.message_id} to go to {letter.target}"


def letters(maker: Maker, _: str, host: HostState) -> Iterator[Choice]:
    """What is in the outbox is sent, until it is answered."""
    for letter in sorted(host.outbox):
        if not maker.is_sent(letter):
            yield duty(send_on, letter)


def send_on(draft: Draft, letter: Letter) -> str:
    draft.send(letter)
    return f"{letter.waits_at} forwards {letter.message_id} to {letter.target}"


def forget(draft: Draft, name: str, record: PagletRecord) -> str:
    try:
        draft.commit(name, "forget", record.agent_id, record.incarnation, now=LONG_AFTER)
    except JournalConflict:
        raise NotNowError from None
    if record.phase is Phase.TOMBSTONE:
        draft.note("back", record.agent_id)  # nobody may know any more that it was disposed of
    return f"{name} forgets {record.agent_id}"
