"""What paglets and operators want of paglets that live somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.incarnation import Incarnation
from paglets.persistence.records import BlobRef, HookKind, MoveKind, PagletRecord, PendingHook, Phase
from tests.transfers.exploring.choices import will
from tests.transfers.exploring.messages import Recall
from tests.transfers.exploring.stores import queued
from tests.transfers.exploring.world import HostState, Life

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.draft import Draft


def wills(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    """What may be wanted of a paglet that is here and idle."""
    agent_id = record.agent_id
    if record.phase is Phase.ACTIVE:
        runs = Life(agent_id, record.incarnation) in host.children and not record.failed
        if not runs or host.is_moving(agent_id):
            return
    elif record.phase is not Phase.INACTIVE or host.is_moving(agent_id):
        return
    for target in maker.scope.host_ids:
        route = maker.scope.route
        if target != name and (route is None or name + target in route):
            yield from _away(maker, name, record, target)
    if maker.may("disposals"):
        yield will(dispose, name, record, spend="disposals")
    if record.phase is Phase.INACTIVE:
        yield will(activate, name, record)
        return
    if maker.may("here"):
        yield will(move_here, name, record, spend="here")
    if maker.may("parks"):
        yield will(park, name, record, spend="parks")
    if maker.may("failures"):
        yield will(fail, name, record, spend="failures")


def _away(maker: Maker, name: str, record: PagletRecord, target: str) -> Iterator[Choice]:
    if maker.may("moves"):
        yield will(dispatch, name, record, target, spend="moves")
    if maker.may("clones"):
        yield will(clone, name, record, target, spend="clones")
    if maker.may("retracts") and record.phase is Phase.ACTIVE:
        yield will(ask_back, name, record, target, spend="retracts")


def dispatch(draft: Draft, name: str, record: PagletRecord, target: str) -> str:
    draft.begin(name, record.agent_id, target, MoveKind.DISPATCH)
    return f"{name} starts {record.agent_id} to {target} in life {record.incarnation}"


def clone(draft: Draft, name: str, record: PagletRecord, target: str) -> str:
    draft.begin(name, record.agent_id, target, MoveKind.CLONE)
    return f"{name} clones {record.agent_id} to {target}"


def ask_back(draft: Draft, name: str, record: PagletRecord, target: str) -> str:
    draft.send(Recall(target, name, record.agent_id, record.incarnation))
    return f"{target} asks {name} for {record.agent_id} {record.incarnation}"


def dispose(draft: Draft, name: str, record: PagletRecord) -> str:
    for message in queued(draft.host(name).store, record.agent_id):
        draft.note("handled", record.agent_id, message.message_id)  # it is a dead letter
    draft.commit(name, "dispose", record.agent_id, record.incarnation, at=0.0)
    draft.end_child(name, Life(record.agent_id, record.incarnation))
    draft.note("disposed", record.agent_id, record.incarnation.lineage)
    return f"{name} disposes of {record.agent_id}"


def activate(draft: Draft, name: str, record: PagletRecord) -> str:
    started = draft.commit(
        name, "activate", record.agent_id, record.incarnation, event={}, at=0.0, hooks=draft.scope.class_hooks
    )
    draft.start_child(name, started.record)
    return f"{name} activates {record.agent_id}"


def move_here(draft: Draft, name: str, record: PagletRecord) -> str:
    agent_id, incarnation = record.agent_id, record.incarnation
    state = BlobRef(b"", incarnation.epoch)
    started = draft.commit(
        name, "move_here", agent_id, incarnation, state=state, event={}, at=0.0, hooks=draft.scope.class_hooks
    )
    draft.end_child(name, Life(agent_id, incarnation))
    draft.start_child(name, started.record)
    return f"{name} moves {agent_id} to itself"


def park(draft: Draft, name: str, record: PagletRecord) -> str:
    agent_id, incarnation = record.agent_id, record.incarnation
    state = BlobRef(b"", incarnation.epoch)
    draft.commit(name, "deactivate", agent_id, incarnation, state=state, policy={}, request={}, at=0.0)
    draft.end_child(name, Life(agent_id, incarnation))
    return f"{name} parks {agent_id}"


def fail(draft: Draft, name: str, record: PagletRecord) -> str:
    draft.commit(name, "mark_failed", record.agent_id, record.incarnation, "hook raised", at=0.0)
    draft.end_child(name, Life(record.agent_id, record.incarnation))
    return f"{name} marks {record.agent_id} as failed"


def first_record(agent_id: str, birth: str, hooks: Container[HookKind]) -> PagletRecord:
    """What is written when a paglet is created."""
    return PagletRecord(
        agent_id=agent_id,
        birth=birth,
        phase=Phase.ACTIVE,
        incarnation=Incarnation(),
        class_name="m:C",
        state_class_name="m:S",
        state=BlobRef(b"", 1),
        pending=PendingHook(HookKind.CREATION).among(hooks),
    )
