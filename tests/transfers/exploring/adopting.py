"""What operators may say of copies, and what a host does by itself once one was adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.persistence.journal import meeting
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import MoveKind, Phase
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers.source_move import Stage
from tests.transfers.exploring.choices import NotNowError, duty, will
from tests.transfers.exploring.messages import News, NewsTaken, Question
from tests.transfers.exploring.moving import EVENT, ask, counter_of, floor_of
from tests.transfers.exploring.stores import is_held, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.adoption_records import Notice
    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.draft import Draft
    from tests.transfers.exploring.messages import Answer
    from tests.transfers.exploring.world import HostState, Running


def of_adoptions(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    """The steps of adopted paglets at one host; one whose store is a copy that nobody has accepted takes none."""
    if is_held(host.store, name):
        return
    if maker.may("adoptions"):
        for running in host.moves:
            if _is_in_doubt(running):
                yield will(adopt, name, running, spend="adoptions")
    held = tables(host.store)
    for each in held.abandoned():
        outgoing = each.outgoing
        floor = floor_of(maker.scope, host, name, outgoing.target_id)
        counter = counter_of(maker.scope, host)
        crossing = (outgoing.transfer_id, outgoing.target_id, each.agent_id, outgoing.incarnation)
        question = Question(*crossing, floor, counter)
        if not maker.is_sent(question):
            yield duty(ask, name, question)
    for owed in held.notices():
        news = News(
            name, owed.target_id, owed.agent_id, owed.birth, owed.higher, owed.everywhere, owed.number
        )
        if not maker.is_sent(news):
            yield duty(tell, news, owed)
    for agent_id, incarnation in sorted(held.kept):
        if maker.may("adoptions"):
            yield will(adopt_copy, name, agent_id, incarnation, spend="adoptions")
        if maker.may("discards"):
            yield will(discard_copy, name, agent_id, incarnation, spend="discards")


def _is_in_doubt(running: Running) -> bool:
    move = running.move
    if move.kind is MoveKind.CLONE:
        return False
    return move.stage is Stage.PARKED or (move.stage is Stage.SENT and move.in_doubt)


def adopt(draft: Draft, name: str, running: Running) -> str:
    draft.tell(name, running.move.transfer_id, on.AdoptionWanted())
    return f"{name}'s operator adopts {running.move.agent_id} of {running.move.transfer_id}"


def adopt_copy(draft: Draft, name: str, agent_id: str, incarnation: Incarnation) -> str:
    try:
        adopted = draft.commit(name, "adopt_copy", name, agent_id, incarnation, event=EVENT, at=0.0)
    except JournalConflict:
        raise NotNowError from None
    draft.note("adopted", agent_id, adopted.started.record.incarnation.lineage)
    if adopted.started.record.phase is Phase.ACTIVE:  # not what was parked, and is again
        draft.start_child(name, adopted.started.record)
    return f"{name}'s operator adopts the copy {incarnation} of {agent_id}"


def discard_copy(draft: Draft, name: str, agent_id: str, incarnation: Incarnation) -> str:
    draft.commit(name, "discard_copy", agent_id, incarnation)
    return f"{name}'s operator drops the copy {incarnation} of {agent_id}"


def tell(draft: Draft, news: News, owed: Notice) -> str:
    draft.send(news)
    if not draft.rules.notices_wait:
        draft.commit(news.owed_by, "notice_acknowledged", owed)
    return f"{news.owed_by} tells {news.target} of {news.agent_id} {news.higher.incarnation}"


def of_news(maker: Maker, news: News) -> Iterator[Choice]:
    """A notice comes; to a restored host again later."""
    if not is_held(maker.host(news.target).store, news.target):
        yield duty(take_news, news)


def take_news(draft: Draft, news: News) -> str:
    """It is carried out, and then acknowledged."""
    name = news.target
    said = (news.agent_id, news.birth, news.higher)
    noticed = draft.commit(name, "take_notice", name, *said, at=0.0, everywhere=news.everywhere)
    if noticed.gave_way is not None:
        draft.met(name, noticed.gave_way)
    draft.send(NewsTaken(news, noticed.lost_track))
    return f"{name} is told of {news.agent_id} {news.higher.incarnation}"


def as_told(notice: Notice | News) -> tuple[Any, ...]:
    """What differs between the notices of one paglet to one host."""
    return notice.higher, notice.everywhere, notice.number


def of_news_taken(_: Maker, taken: NewsTaken) -> Iterator[Choice]:
    """An acknowledgement comes."""
    yield duty(acknowledge, taken)


def acknowledge(draft: Draft, taken: NewsTaken) -> str:
    news = taken.news
    owed = [
        each
        for each in tables(draft.host(news.owed_by).store).notices(news.agent_id)
        if (each.target_id, *as_told(each)) == (news.target, *as_told(news))
    ]
    if not owed:
        raise NotNowError
    if taken.lost_track:
        everyone = [meeting.Addressee(name) for name in draft.scope.host_ids]
        draft.commit(news.owed_by, "tell_everyone", news.owed_by, owed[0], everyone)
        return f"{news.owed_by} hears that {news.target} does not know where {news.agent_id} went"
    draft.commit(news.owed_by, "notice_acknowledged", owed[0])
    return f"{news.owed_by} hears that {news.target} has been told of {news.agent_id}"


def close(draft: Draft, name: str, said: Answer) -> None:
    """There will be no verdict on it; whether an adoption went past it or not."""
    for each in tables(draft.host(name).store).abandoned():
        if each.outgoing.transfer_id == said.transfer_id:
            draft.commit(name, "close_abandoned", each.agent_id, said.transfer_id)


def settle(draft: Draft, name: str, said: Answer) -> None:
    """A verdict may be on a transfer that an adoption went past."""
    for each in tables(draft.host(name).store).abandoned():
        if each.outgoing.transfer_id == said.transfer_id:
            arguments = (each.agent_id, said.transfer_id, said.outcome, said.incarnation)
            draft.commit(name, "settle_abandoned", *arguments)
