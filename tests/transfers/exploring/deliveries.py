"""What the arrival of each message does at the host it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.persistence import outbox_rules
from paglets.persistence.journal.arrivals import Closed, Crossing, Decided
from paglets.persistence.records import HookKind, MoveKind, Outcome, PagletRecord, PendingHook, Phase
from paglets.runtime.outbox.judging import judge
from paglets.runtime.transfers import events as on
from tests.transfers.exploring.adopting import close, of_news, of_news_taken, settle
from tests.transfers.exploring.choices import NotNowError, duty, will
from tests.transfers.exploring.living import STORE
from tests.transfers.exploring.messages import (
    Accepted,
    Answer,
    Envelope,
    FloorTold,
    HandOver,
    Letter,
    News,
    NewsTaken,
    Question,
    Recall,
)
from tests.transfers.exploring.stores import is_held
from tests.transfers.exploring.waiting import as_queued, followed, hand_on
from tests.transfers.exploring.world import BrokenPromiseError, Life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paglets.core.incarnation import TransferId
    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.draft import Draft


def delivery(maker: Maker, message: Any) -> Iterator[Choice]:
    """What can come of a message that arrives now."""
    return DELIVERIES[type(message)](maker, message)


# --- at the target


def _envelope(maker: Maker, sent: Envelope) -> Iterator[Choice]:
    if maker.may("refusals"):
        yield will(refuse, sent, spend="refusals")
    yield duty(decide, sent)
    if not maker.scope.rules.says_what_is_synced:
        yield will(say_and_lose, sent)


def refuse(draft: Draft, sent: Envelope) -> str:
    crossing = Crossing(sent.transfer_id, sent.agent_id, sent.incarnation)
    decided = draft.commit(sent.target, "fence", sent.target, crossing, "not admitted", at=0.0)
    say(draft, sent.target, sent.transfer_id, decided)
    return f"{sent.target} refuses {sent.transfer_id}"


def decide(draft: Draft, sent: Envelope) -> str:
    record = _arriving(draft, sent)
    decided = draft.commit(sent.target, "arrive", sent.target, sent.transfer_id, record, at=0.0)
    if isinstance(decided, Decided) and decided.fresh and decided.verdict.outcome is Outcome.ARRIVED:
        _arrived(draft, sent, record, decided)
    say(draft, sent.target, sent.transfer_id, decided)
    return f"{sent.target} decides on {sent.transfer_id}: {word(decided)}"


def say_and_lose(draft: Draft, sent: Envelope) -> str:
    """The verdict leaves, and its commit is lost; only where the rules do not wait for it."""
    host = draft.host(sent.target)
    record = _arriving(draft, sent)
    decided = draft.commit(sent.target, "arrive", sent.target, sent.transfer_id, record, at=0.0)
    if draft.host(sent.target).store == host.store:
        raise NotNowError
    draft.put(sent.target, store=host.store)
    say(draft, sent.target, sent.transfer_id, decided)
    return f"{sent.target} says {word(decided)} on {sent.transfer_id}, and loses it"


def _arriving(draft: Draft, sent: Envelope) -> PagletRecord:
    hook = HookKind.CLONE if sent.kind is MoveKind.CLONE else HookKind.ARRIVAL
    return PagletRecord(
        agent_id=sent.agent_id,
        birth=sent.birth,
        phase=Phase.INACTIVE if sent.parked else Phase.ACTIVE,
        incarnation=sent.incarnation,
        class_name="m:C",
        state_class_name="m:S",
        state=sent.state,
        pending=None
        if sent.parked or not draft.scope.hooks
        else PendingHook(hook).among(draft.scope.class_hooks),
    )


def _arrived(draft: Draft, sent: Envelope, record: PagletRecord, decided: Decided) -> None:
    name, transfer_id = sent.target, sent.transfer_id
    if draft.known("arrived", transfer_id) and not draft.known("restored", name):
        raise BrokenPromiseError(f"I6 {name} accepted {transfer_id} a second time")
    if draft.known("failed", transfer_id) and not draft.known("restored", transfer_id.source):
        raise BrokenPromiseError(f"{transfer_id} arrived, but its source had said that it failed")
    draft.note("arrived", transfer_id)
    draft.note("lives", sent.agent_id)
    if draft.known("recalled", transfer_id):
        draft.note("came on recall", transfer_id)
    if decided.gave_way is not None:
        draft.met(name, decided.gave_way)
    elif decided.replaced is not None:
        draft.end_child(name, Life(record.agent_id, decided.replaced.incarnation))
        if decided.came_home is not None:
            draft.tell(name, decided.came_home.transfer_id, on.CameHome())
    if record.phase is Phase.ACTIVE:
        draft.start_child(name, record)


def say(draft: Draft, name: str, transfer_id: TransferId, decided: Any) -> None:
    """Send the host's word to the source."""
    if isinstance(decided, Closed):
        draft.send(Answer(transfer_id, None))
    elif isinstance(decided, Decided):
        verdict = decided.verdict
        for other in Outcome:
            if draft.known("restored", name):
                break  # of what it said in its lost life it may know nothing
            if other is not verdict.outcome and draft.known("said", transfer_id, other):
                raise BrokenPromiseError(f"I5 {name} said {other} and now {verdict.outcome} on {transfer_id}")
        draft.note("said", transfer_id, verdict.outcome)
        draft.send(Answer(transfer_id, verdict.outcome, verdict.incarnation))


def word(decided: Any) -> str:
    """A decision, for people."""
    return decided.verdict.outcome.value if isinstance(decided, Decided) else type(decided).__name__


def _question(_: Maker, asked: Question) -> Iterator[Choice]:
    yield duty(reply, asked)


def reply(draft: Draft, asked: Question) -> str:
    name = asked.target
    if asked.floor:
        draft.commit(name, "note_floor", asked.transfer_id.source, asked.floor)
        draft.commit(name, "note_counter", name, asked.transfer_id.source, asked.counter)
    crossing = Crossing(asked.transfer_id, asked.agent_id, asked.incarnation)
    decided = draft.commit(name, "answer_query", name, crossing, at=0.0)
    say(draft, name, asked.transfer_id, decided)
    return f"{name} answers {asked.transfer_id}: {word(decided)}"


def _floor(_: Maker, told: FloorTold) -> Iterator[Choice]:
    yield duty(note_floor, told)


def note_floor(draft: Draft, told: FloorTold) -> str:
    draft.commit(told.target, "note_floor", told.source, told.floor)
    draft.commit(told.target, "note_counter", told.target, told.source, told.counter)
    return f"{told.target} notes {told.source}'s floor {told.floor}"


# --- at the source


def _answer(_: Maker, said: Answer) -> Iterator[Choice]:
    yield duty(hear, said)


def hear(draft: Draft, said: Answer) -> str:
    name = said.transfer_id.source
    if draft.scope.receipts:
        draft.commit(name, "note_peer_store", "peer", *STORE)
    if said.outcome is None or said.incarnation is None:
        close(draft, name, said)
        draft.tell(name, said.transfer_id, on.ClosedReceived(0))
        return f"{name} hears that {said.transfer_id} is closed"
    settle(draft, name, said)
    verdict = on.VerdictReceived(said.outcome, said.incarnation, "as the target says")
    draft.tell(name, said.transfer_id, verdict)
    return f"{name} hears {said.outcome.value} on {said.transfer_id}"


def _recall(maker: Maker, asked: Recall) -> Iterator[Choice]:
    host, record = maker.host(asked.holder), maker.record(asked.holder, asked.agent_id)
    if is_held(host.store, asked.holder):
        return
    if not maker.may("moves") or record is None or record.phase is not Phase.ACTIVE or record.failed:
        return
    named = asked.incarnation if not maker.scope.rules.recalls_any_life else record.incarnation
    runs = record.incarnation == named and Life(asked.agent_id, named) in host.children
    if runs and not host.is_moving(asked.agent_id):
        yield will(obey, asked, spend="moves")


def obey(draft: Draft, asked: Recall) -> str:
    draft.begin(asked.holder, asked.agent_id, asked.asker, MoveKind.RETRACT)
    return f"{asked.holder} starts {asked.agent_id} to {asked.asker}, as asked"


# --- messages


def _letter(_: Maker, sent: Letter) -> Iterator[Choice]:
    yield duty(receive, sent)


def receive(draft: Draft, sent: Letter) -> str:
    """Answer it once and for all, as the product does; what is accepted is in the queue, whatever phase that is."""
    name, agent_id, message_id = sent.target, sent.agent_id, sent.message_id
    host = draft.host(name)
    if sent not in host.answered:
        answer, _ = judge(draft.record(name, agent_id), agent_id, no_delay=False, wakes=True)
        if answer is outbox_rules.Answer.LATER:
            raise NotNowError
        if answer is outbox_rules.Answer.ACCEPTED:
            draft.commit(name, "append", agent_id, as_queued(message_id, sent.followed), followed)
        else:
            draft.note("handled", agent_id, message_id)  # it is a dead letter
        draft.put(name, answered=draft.host(name).answered | {sent})
    draft.send(Accepted(sent))
    return f"{name} gets {message_id} for {agent_id}"


def _hand_over(_: Maker, begun: HandOver) -> Iterator[Choice]:
    yield duty(hand_on, begun)


def _accepted(_: Maker, said: Accepted) -> Iterator[Choice]:
    yield duty(settle_letter, said.letter)


def settle_letter(draft: Draft, letter: Letter) -> str:
    outbox = draft.host(letter.waits_at).outbox
    if letter not in outbox:
        raise NotNowError
    draft.put(letter.waits_at, outbox=outbox - {letter})
    return f"{letter.waits_at} hears that {letter.message_id} was answered"


DELIVERIES: dict[type[Any], Callable[[Maker, Any], Iterator[Choice]]] = {
    Envelope: _envelope,
    Question: _question,
    FloorTold: _floor,
    Answer: _answer,
    Recall: _recall,
    News: of_news,
    NewsTaken: of_news_taken,
    Letter: _letter,
    Accepted: _accepted,
    HandOver: _hand_over,
}
"""By kind of message."""
