"""What the arrival of each message does at the host it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.persistence.journal.arrivals import Closed, Crossing, Decided
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import (
    HookKind,
    MoveKind,
    Outcome,
    PagletRecord,
    PendingHook,
    Phase,
    QueuedRecord,
)
from paglets.runtime.transfers import events as on
from tests.transfers.exploring.actions import STORE, Choice, Maker
from tests.transfers.exploring.world import (
    Accepted,
    Answer,
    BrokenPromiseError,
    Draft,
    Envelope,
    FloorTold,
    Letter,
    Life,
    Question,
    Recall,
    World,
    busy,
    records,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transfers.exploring.scope import Scope


def deliveries(world: World, scope: Scope) -> Iterator[Choice]:
    maker = Maker(world, scope)
    for message in world.net:
        match message:
            case Envelope():
                yield from envelope(maker, message)
            case Question():
                yield question(maker, message)
            case Answer():
                yield answer(maker, message)
            case FloorTold():
                draft = maker.draft()
                draft.commit(message.target, "note_floor", message.source, message.floor)
                yield Choice(f"{message.target} notes {message.source}'s floor {message.floor}", draft, True)
            case Recall():
                yield from recall(maker, message)
            case Letter():
                yield letter(maker, message)
            case Accepted():
                yield from accepted(maker, message)
            case _:
                raise AssertionError(message)


# --- at the target


def envelope(maker: Maker, sent: Envelope) -> Iterator[Choice]:
    name, transfer_id = sent.target, sent.transfer_id
    if maker.may("refusals"):
        draft = maker.draft("refusals")
        crossing = Crossing(transfer_id, sent.agent_id, sent.incarnation)
        decided = draft.commit(name, "fence", name, crossing, "not admitted", at=0.0)
        say(draft, name, transfer_id, decided)
        yield Choice(f"{name} refuses {transfer_id}", draft, progress=False)
    hook = HookKind.CLONE if sent.kind is MoveKind.CLONE else HookKind.ARRIVAL
    record = PagletRecord(
        agent_id=sent.agent_id,
        birth=sent.birth,
        phase=Phase.INACTIVE if sent.parked else Phase.ACTIVE,
        incarnation=sent.incarnation,
        class_name="m:C",
        state_class_name="m:S",
        state=sent.state,
        pending=None if sent.parked or not maker.scope.hooks else PendingHook(hook),
    )
    draft = maker.draft()
    before = draft.host(name).store
    decided = draft.commit(name, "arrive", name, transfer_id, record, at=0.0)
    if isinstance(decided, Decided) and decided.fresh and decided.verdict.outcome is Outcome.ARRIVED:
        arrived(draft, name, sent, record, decided)
    say(draft, name, transfer_id, decided)
    yield Choice(f"{name} decides on {transfer_id}: {word(decided)}", draft, progress=True)
    if not maker.scope.rules.says_what_is_synced and draft.host(name).store != before:
        draft = maker.draft()
        say(draft, name, transfer_id, decided)
        yield Choice(f"{name} says {word(decided)} on {transfer_id}, and loses it", draft, progress=False)


def arrived(draft: Draft, name: str, sent: Envelope, record: PagletRecord, decided: Decided) -> None:
    if ("arrived", sent.transfer_id) in draft.facts:
        raise BrokenPromiseError(f"I6 {name} accepted {sent.transfer_id} a second time")
    if ("failed", sent.transfer_id) in draft.facts:
        raise BrokenPromiseError(f"{sent.transfer_id} arrived, but its source had said that it failed")
    draft.note("arrived", sent.transfer_id)
    draft.note("lives", sent.agent_id)
    if ("recalled", sent.transfer_id) in draft.facts:
        draft.note("came on recall", sent.transfer_id)
    if decided.replaced is not None:
        draft.end_child(name, Life(record.agent_id, decided.replaced.incarnation))
    if record.phase is Phase.ACTIVE:
        draft.start_child(name, record)


def say(draft: Draft, name: str, transfer_id: Any, decided: Any) -> None:
    """Send the host's word to the source."""
    if isinstance(decided, Closed):
        draft.send(Answer(transfer_id, None))
    elif isinstance(decided, Decided):
        verdict = decided.verdict
        for fact in draft.facts:
            if fact[0] == "said" and fact[1] == transfer_id and fact[2] is not verdict.outcome:
                raise BrokenPromiseError(
                    f"I5 {name} said {fact[2]} and now {verdict.outcome} on {transfer_id}"
                )
        draft.note("said", transfer_id, verdict.outcome)
        draft.send(Answer(transfer_id, verdict.outcome, verdict.incarnation))


def word(decided: Any) -> str:
    return decided.verdict.outcome.value if isinstance(decided, Decided) else type(decided).__name__


def question(maker: Maker, asked: Question) -> Choice:
    name = asked.target
    draft = maker.draft()
    if asked.floor:
        draft.commit(name, "note_floor", asked.transfer_id.source, asked.floor)
    crossing = Crossing(asked.transfer_id, asked.agent_id, asked.incarnation)
    decided = draft.commit(name, "answer_query", name, crossing, at=0.0)
    say(draft, name, asked.transfer_id, decided)
    return Choice(f"{name} answers {asked.transfer_id}: {word(decided)}", draft, progress=True)


# --- at the source


def answer(maker: Maker, said: Answer) -> Choice:
    name = said.transfer_id.source
    draft = maker.draft()
    if maker.scope.receipts:
        draft.commit(name, "note_peer_store", "peer", *STORE)
    if said.outcome is None or said.incarnation is None:
        draft.tell(name, said.transfer_id, on.ClosedReceived(0))
        return Choice(f"{name} hears that {said.transfer_id} is closed", draft, progress=True)
    draft.tell(
        name, said.transfer_id, on.VerdictReceived(said.outcome, said.incarnation, "as the target says")
    )
    return Choice(f"{name} hears {said.outcome.value} on {said.transfer_id}", draft, progress=True)


def recall(maker: Maker, asked: Recall) -> Iterator[Choice]:
    if not maker.may("moves"):
        return
    name, agent_id = asked.holder, asked.agent_id
    draft = maker.draft("moves")
    host = draft.host(name)
    record = records(host.store).get(agent_id)
    if record is None or record.phase is not Phase.ACTIVE or record.failed or busy(host, agent_id):
        return
    named = asked.incarnation if not maker.scope.rules.recalls_any_life else record.incarnation
    if record.incarnation == named and Life(agent_id, named) in host.children:
        draft.begin(name, agent_id, asked.asker, MoveKind.RETRACT)
        yield Choice(f"{name} starts {agent_id} to {asked.asker}, as asked", draft, progress=False)


# --- messages


def letter(maker: Maker, sent: Letter) -> Choice:
    name, agent_id, message_id = sent.target, sent.agent_id, sent.message_id
    draft = maker.draft()
    label = f"{name} gets {message_id} for {agent_id}"
    host = draft.host(name)
    record = records(host.store).get(agent_id)
    if record and record.phase is Phase.ACTIVE and Life(agent_id, record.incarnation) in host.children:
        draft.note("handled", agent_id, message_id)
        draft.send(Accepted(sent.waits_at, sent.sent_along, agent_id, message_id))
    elif record and record.phase in {Phase.INACTIVE, Phase.PREPARED}:
        try:
            draft.commit(name, "enqueue", agent_id, QueuedRecord(message_id, b"", oneway=True, queued_at=0.0))
            draft.send(Accepted(sent.waits_at, sent.sent_along, agent_id, message_id))
        except JournalConflict:
            pass
    elif (forward := maker.scope.rules.follow(record, sent.followed)) is not None:
        draft.send(sent._replace(target=forward.host_id, followed=forward.incarnation))
    return Choice(label, draft, progress=True)


def accepted(maker: Maker, said: Accepted) -> Iterator[Choice]:
    draft = maker.draft()
    try:
        draft.commit(said.waits_at, "hand_on", said.agent_id, said.sent_along, said.message_id)
    except JournalConflict:
        return
    yield Choice(f"{said.waits_at} hears that {said.message_id} was accepted", draft, progress=True)
