"""Processes that run paglets, and the hosts that run these: they end, and go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import BlobRef, PagletRecord, PeerRecord, Phase
from paglets.runtime.transfers import events as on
from tests.transfers.exploring.choices import NotNowError, duty, will
from tests.transfers.exploring.messages import FloorTold
from tests.transfers.exploring.moving import EVENT, counter_of, floor_of
from tests.transfers.exploring.stores import is_held, records
from tests.transfers.exploring.world import HostState, Life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.draft import Draft

STORE = ("store", 1)
"""What a host shows of its store: its id, its commit number."""


def of_a_life(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    """What a host does about a paglet that is active there."""
    if record.phase is not Phase.ACTIVE:
        return
    runs = Life(record.agent_id, record.incarnation) in host.children
    if not runs and not host.is_moving(record.agent_id):
        yield duty(recover, name, record)
    if runs and record.pending and maker.scope.hooks:
        yield duty(return_from_hook, name, record)
    if runs and not record.receipt and maker.scope.receipts:
        yield duty(keep_receipt, name, record)


def recover(draft: Draft, name: str, record: PagletRecord) -> str:
    started = draft.commit(
        name,
        "recover",
        record.agent_id,
        record.incarnation,
        event=EVENT,
        at=0.0,
        hooks=draft.scope.class_hooks,
    )
    draft.start_child(name, started.record)
    return f"{name} recovers {record.agent_id} from life {record.incarnation}"


def return_from_hook(draft: Draft, name: str, record: PagletRecord) -> str:
    draft.commit(name, "complete_hook", record.agent_id, record.incarnation, state=None, at=0.0)
    return f"{name}: the hook of {record.agent_id} returns"


def keep_receipt(draft: Draft, name: str, record: PagletRecord) -> str:
    draft.commit(name, "keep_receipt", record.agent_id, record.incarnation, b"signed", at=0.0)
    return f"{name} keeps the receipt of {record.agent_id}"


def of_a_host(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    """What befalls a host, and what it does about no paglet in particular."""
    if maker.may("crashes") and (host.moves or records(host.store)):
        yield will(crash, name, spend="crashes")
    if maker.may("deaths"):
        for life in sorted(host.children):
            yield will(die, name, life, spend="deaths")
    for life in sorted(host.ending):
        yield duty(end, name, life)
    if maker.scope.checkpoints:
        for life in sorted(host.children | host.ending):
            yield will(checkpoint, name, life)
    if maker.may("discoveries"):
        yield will(discover, name, spend="discoveries")


def floors(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    """What a host tells others without being asked."""
    if maker.scope.floors:
        for target in maker.scope.host_ids:
            floor = floor_of(maker.scope, host, name, target)
            told = FloorTold(name, target, floor, counter_of(maker.scope, host))
            if target != name and told.floor > 1 and not maker.is_sent(told):
                yield duty(tell_floor, told)


def crash(draft: Draft, name: str) -> str:
    draft.stop(name)
    if not is_held(draft.host(name).store, name):
        draft.take_up(name)
    return f"{name} crashes and comes back"


def die(draft: Draft, name: str, life: Life) -> str:
    draft.put(name, children=draft.host(name).children - {life})
    for running in draft.host(name).moves:
        if Life(running.move.agent_id, running.life) == life:
            draft.tell(name, running.move.transfer_id, on.ProcessEnded())
    return f"{name}: the child of {life.agent_id} dies"


def end(draft: Draft, name: str, life: Life) -> str:
    draft.put(name, ending=draft.host(name).ending - {life})
    return f"{name}: an old child of {life.agent_id} has ended"


def checkpoint(draft: Draft, name: str, life: Life) -> str:
    """Every child tries, those that should not be running any more, too."""
    agent_id, incarnation = life
    try:
        draft.commit(name, "checkpoint", agent_id, incarnation, BlobRef(b"", incarnation.epoch), at=0.0)
    except JournalConflict:
        raise NotNowError from None
    return f"{name}: {agent_id} checkpoints in life {incarnation}"


def tell_floor(draft: Draft, told: FloorTold) -> str:
    draft.send(told)
    return f"{told.source} tells {told.target} its floor {told.floor}"


def discover(draft: Draft, name: str) -> str:
    seen = PeerRecord(name, STORE[0], STORE[1] + 1)
    draft.commit(name, "note_own_store", name, *STORE, seen)
    return f"{name} learns that its store was restored"
