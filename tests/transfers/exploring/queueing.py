"""Paglets that wait in the outbox for a host that is away: the product's machine, and what befalls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import BlobRef, MoveKind, PagletRecord, Phase, QueuedDispatch
from paglets.runtime.outbox import waiting_move as machine
from tests.transfers.exploring.choices import duty, will
from tests.transfers.exploring.world import HostState, Life, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.draft import Draft

IN_TIME, EXPIRED = 1.0, -1.0
EVENT = {"reason": "dispatch-failed"}


def wishes(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    """What is wanted of paglets that may wait, or do."""
    if record.failed or host.is_moving(record.agent_id) or record.phase not in {Phase.ACTIVE, Phase.INACTIVE}:
        return
    if record.phase is Phase.ACTIVE and Life(record.agent_id, record.incarnation) not in host.children:
        return
    if maker.may("queues"):
        for target in maker.scope.host_ids:
            if target != name:
                yield will(queue, name, record, target, f"k{maker.left('queues')}", spend="queues")
    if record.queued is not None and maker.may("parks"):
        yield will(park, name, record, record.queued.key, spend="parks")


def queue(draft: Draft, name: str, record: PagletRecord, target: str, key: str) -> str:
    queued = QueuedDispatch(key, {}, target, "", "", record.phase, since=0.0, lifetime=IN_TIME)
    state = BlobRef(b"", record.incarnation.epoch) if record.phase is Phase.ACTIVE else None
    arguments = (record.agent_id, record.incarnation, queued)
    written = draft.commit(name, "queue_dispatch", *arguments, state=state, at=0.0)
    draft.end_child(name, Life(record.agent_id, record.incarnation))
    _begin(draft, name, written)
    return f"{name} lets {record.agent_id} wait for {target}, as {key}"


def park(draft: Draft, name: str, record: PagletRecord, key: str) -> str:
    arguments = (record.agent_id, record.incarnation, key)
    draft.commit(name, "park_queued", *arguments, policy={}, request={}, at=0.0)
    return f"{name} parks {record.agent_id}, which waited as {key}"


def taking_up(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    """After a restart, or when a transfer was settled, those that wait are seen to again."""
    if record.queued is None or record.phase is not Phase.INACTIVE or not maker.scope.rules.takes_up_queue:
        return
    known = any(each.key == record.queued.key for each in host.waits)
    if not known and not host.is_moving(record.agent_id):
        yield duty(take_up, name, record)


def take_up(draft: Draft, name: str, record: PagletRecord) -> str:
    _begin(draft, name, record)
    return f"{name} takes up that {record.agent_id} waits"


def _begin(draft: Draft, name: str, record: PagletRecord) -> None:
    if record.queued is None:
        raise AssertionError(record)
    step = machine.begin(IN_TIME, 0.0, patience=draft.scope.patience)
    wait = Waiting(record.agent_id, record.queued.key, record.queued.target_id, step.move, step.effect)
    draft.put(name, waits=(*draft.host(name).waits, wait))


# --- the machine of one that waits


def of_waits(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    """The steps of those that wait at one host."""
    for wait in host.waits:
        if wait.move.expires == IN_TIME and maker.may("expiries"):
            yield will(expire, name, wait, spend="expiries")
        yield from _due(maker, name, host, wait)


def _due(maker: Maker, name: str, host: HostState, wait: Waiting) -> Iterator[Choice]:
    """What the machine of one has asked for."""
    match wait.effect:
        case machine.Reach():
            yield duty(reach, name, wait)
            if maker.may("absences"):
                yield will(miss, name, wait, spend="absences")
        case machine.Pause():
            yield duty(come_due, name, wait)
        case machine.Move() if not wait.begun:
            if not host.is_moving(wait.agent_id):
                yield duty(move, name, wait)
        case machine.Move() | machine.AwaitVerdict():
            yield from _outcome(name, host, wait)
        case machine.GiveBack() if not host.is_moving(wait.agent_id):
            yield duty(give_back, name, wait)
            if maker.may("full"):
                yield will(cannot_give_back, name, wait, spend="full")
        case _:
            pass


def _outcome(name: str, host: HostState, wait: Waiting) -> Iterator[Choice]:
    running = [each for each in host.moves if each.move.agent_id == wait.agent_id]
    if not running:
        yield duty(look, name, wait)
    elif running[0].move.in_doubt and isinstance(wait.effect, machine.Move):
        yield duty(doubt, name, wait)


def _still_waits(draft: Draft, name: str, wait: Waiting) -> bool:
    record = draft.record(name, wait.agent_id)
    if record is None or record.phase is not Phase.INACTIVE:
        return False
    if not draft.rules.looks_before_it_moves:
        return True
    return record.queued is not None and record.queued.key == wait.key


def reach(draft: Draft, name: str, wait: Waiting) -> str:
    record = draft.record(name, wait.agent_id)
    if _still_waits(draft, name, wait):
        _tell(draft, name, wait, machine.Present())
    elif record and record.phase is Phase.PREPARED and record.queued and record.queued.key == wait.key:
        _tell(draft, name, wait, machine.Absent("it is being moved elsewhere"))
    else:
        _tell(draft, name, wait, machine.Gone())
    return f"{name} reaches {wait.target} for {wait.key}"


def miss(draft: Draft, name: str, wait: Waiting) -> str:
    _tell(draft, name, wait, machine.Absent("cannot be reached"))
    return f"{name} does not reach {wait.target} for {wait.key}"


def come_due(draft: Draft, name: str, wait: Waiting) -> str:
    _tell(draft, name, wait, machine.Due())
    return f"{name} tries again for {wait.key}"


def expire(draft: Draft, name: str, wait: Waiting) -> str:
    _put(draft, name, wait, wait._replace(move=replace(wait.move, expires=EXPIRED)))
    return f"{name}: the time of {wait.key} is over"


def move(draft: Draft, name: str, wait: Waiting) -> str:
    if not _still_waits(draft, name, wait):
        _tell(draft, name, wait, machine.Gone())
        return f"{name} finds that {wait.key} does not wait any more"
    _put(draft, name, wait, wait._replace(begun=True))
    draft.begin(name, wait.agent_id, wait.target, MoveKind.DISPATCH, queue_key=wait.key)
    return f"{name} starts {wait.agent_id} to {wait.target}, which waited as {wait.key}"


def look(draft: Draft, name: str, wait: Waiting) -> str:
    """The transfer is settled: it has moved, or is back."""
    back = machine.Back() if isinstance(wait.effect, machine.AwaitVerdict) else machine.Refused("refused")
    _tell(draft, name, wait, back if _still_waits(draft, name, wait) else machine.Gone())
    return f"{name} sees how the move of {wait.key} has ended"


def doubt(draft: Draft, name: str, wait: Waiting) -> str:
    _tell(draft, name, wait, machine.InDoubt("no answer"))
    return f"{name} does not know whether {wait.key} has moved"


def give_back(draft: Draft, name: str, wait: Waiting) -> str:
    record = draft.record(name, wait.agent_id)
    if record is None:
        _tell(draft, name, wait, machine.Gone())
        return f"{name} finds nothing of {wait.key} to be given back"
    try:
        arguments = (wait.agent_id, record.incarnation, wait.key)
        started = draft.commit(name, "give_back", *arguments, event=EVENT, at=0.0)
    except JournalConflict:
        _tell(draft, name, wait, machine.Gone())
        return f"{name} finds that {wait.key} does not wait any more"
    if started.record.phase is Phase.ACTIVE:
        draft.start_child(name, started.record)
    _tell(draft, name, wait, machine.Written())
    return f"{name} gives {wait.agent_id} back, which waited as {wait.key}"


def cannot_give_back(draft: Draft, name: str, wait: Waiting) -> str:
    _tell(draft, name, wait, machine.NotWritten("disk full"))
    return f"{name} cannot write that {wait.key} is given back"


def _tell(draft: Draft, name: str, wait: Waiting, event: machine.Event) -> None:
    after = machine.step(wait.move, event, 0.0)
    # The pace is kept out of the state; why it is here, too.
    giving_back = after.move.stage is machine.Stage.GIVING_BACK
    plain = replace(after.move, pause=wait.move.pause, reason="")
    effect = machine.GiveBack("") if giving_back else after.effect
    if isinstance(effect, machine.Pause):
        effect = machine.Pause(0.0)
    _put(draft, name, wait, wait._replace(move=plain, effect=effect, begun=False))


def _put(draft: Draft, name: str, wait: Waiting, after: Waiting) -> None:
    waits = [after if each.key == wait.key else each for each in draft.host(name).waits]
    draft.put(name, waits=tuple(each for each in waits if each.effect is not None))
