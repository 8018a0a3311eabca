"""A store that is lost and put back as it was once: what the host does until its operator has accepted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.adoption_records import Whereabouts
from paglets.persistence.records import Forward, PagletRecord, Phase
from paglets.runtime.surveying import Found, open_to
from tests.transfers.exploring.choices import duty, will
from tests.transfers.exploring.copies import Survey
from tests.transfers.exploring.living import STORE
from tests.transfers.exploring.moving import floor_of
from tests.transfers.exploring.stores import is_held, records, tables
from tests.transfers.exploring.world import HostState, Life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.copies import Elsewhere
    from tests.transfers.exploring.draft import Draft

HERE = {Phase.ACTIVE, Phase.INACTIVE, Phase.PREPARED}


def of_copies(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    """The steps of backups, and of hosts whose store is one."""
    if maker.may("backups") and name in (maker.scope.copied or name):
        yield will(back_up, name, spend="backups")
    if host.backup is not None and maker.may("restores"):
        yield will(restore, name, spend="restores")
    if not is_held(host.store, name):
        return
    for record in records(host.store).values():
        if record.phase is Phase.ACTIVE and not host.is_moving(record.agent_id):
            yield duty(park, name, record)
    survey = host.survey or Survey()
    missing = [each for each in maker.scope.host_ids if each != name and each not in survey.asked]
    for other in missing:
        yield duty(look, name, other)
    if not missing or not maker.rules.asks_everybody:
        yield duty(accept_copy, name)
    elif maker.may("forces"):
        yield will(force, name, spend="forces")


def back_up(draft: Draft, name: str) -> str:
    host = draft.host(name)
    draft.put(name, backup=host.store, letters_put_aside=(host.outbox, host.answered))
    return f"{name} is backed up"


def restore(draft: Draft, name: str) -> str:
    """The host dies with its disk; another one starts on what the backup holds, all of it parked."""
    host = draft.host(name)
    assert host.backup is not None
    lost = host.store
    draft.stop(name)
    # An envelope is a stream to one process, and is not sent again; answers and questions may come late all the same.
    draft.severed = name
    outbox, answered = host.letters_put_aside
    draft.put(
        name,
        store=host.backup,
        backup=None,
        outbox=outbox,
        answered=answered,
        letters_put_aside=(frozenset(), frozenset()),
    )
    draft.commit(name, "mark_restored", name, *STORE, at=0.0)
    for record in list(records(draft.host(name).store).values()):
        if record.phase is Phase.ACTIVE and draft.rules.parks_copies:
            draft.commit(name, "park", record.agent_id, at=0.0)
    draft.note("restored", name)
    found = records(draft.host(name).store)
    for agent_id, record in records(lost).items():
        if record.phase is Phase.TOMBSTONE or record.incarnation.lineage.adopter == name:
            # That it was disposed of may have been on that disk only; adopted here, it took the place of the tombstone.
            draft.note("back", agent_id)
        if record.phase in HERE and (
            agent_id not in found or found[agent_id].incarnation != record.incarnation
        ):
            draft.note("gone", agent_id)  # its one copy may have been on that disk
    # What waited there is lost with the disk. If the backup holds it as it waited once, others may have answered that.
    for agent_id, waiting in tables(lost).queues.items():
        for message in waiting:
            draft.note("handled", agent_id, message.message_id)
    for letter in host.outbox:
        draft.note("handled", letter.agent_id, letter.message_id)
    return f"{name} loses its disk, and is put back from its backup"


def park(draft: Draft, name: str, record: PagletRecord) -> str:
    draft.commit(name, "park", record.agent_id, at=0.0)
    draft.end_child(name, Life(record.agent_id, record.incarnation))
    return f"{name} parks {record.agent_id}, as its store was restored"


def look(draft: Draft, name: str, other: str) -> str:
    """Greet another host, with floors both ways, and ask what it has."""
    survey = draft.host(name).survey or Survey()
    if draft.rules.floors_before_looks:
        draft.commit(other, "note_floor", name, floor_of(draft.scope, draft.host(name), name, other))
        draft.commit(name, "note_floor", other, floor_of(draft.scope, draft.host(other), other, name))
    found, lost = set(survey.found), set(survey.lost)
    for record in records(draft.host(other).store).values():
        place = draft.rules.told(record, other)
        if place is not None:
            (lost if place.host_id == name else found).add(place)
    asked, counters = survey.asked | {other}, set(survey.counters)
    still_open = set(survey.open)
    if draft.rules.asks_what_is_open:
        theirs = tables(draft.host(other).store)
        still_open.update(open_to(name, theirs.paglets.values(), theirs.abandoned()))
        counters.add((other, theirs.counter()))
    told = Survey(asked, frozenset(found), frozenset(lost), frozenset(still_open), frozenset(counters))
    draft.put(name, survey=told)
    return f"{name} asks {other} what it has"


def accept_copy(draft: Draft, name: str) -> str:
    """Give up what is elsewhere in a later life, say of what was lost what is known, and go on."""
    _compare(draft, name)
    draft.commit(name, "accept", name, _counters(draft, name), complete=True)
    _go_on(draft, name)
    return f"{name}'s operator accepts the copy"


def force(draft: Draft, name: str) -> str:
    """The same, but not everybody was asked: what is here may be at one of those, too."""
    _compare(draft, name)
    for record in records(draft.host(name).store).values():
        if record.phase in HERE:
            draft.note("risked", record.agent_id)
    draft.commit(name, "accept_forced", name, _counters(draft, name), complete=False)
    _go_on(draft, name)
    return f"{name}'s operator accepts the copy, whatever others have"


def _counters(draft: Draft, name: str) -> dict[str, int]:
    survey = draft.host(name).survey or Survey()
    return dict(survey.counters)


def _compare(draft: Draft, name: str) -> None:
    survey = draft.host(name).survey or Survey()
    found: Found[Elsewhere] = Found()
    for each in sorted(survey.found):
        found.add(each)
    for record in list(records(draft.host(name).store).values()):
        latest = found.latest(record.agent_id)
        if latest is not None and draft.rules.gives_way(record, latest):
            draft.commit(name, "give_way", record.agent_id, record.incarnation, _forward(latest), at=0.0)
    for place in sorted(survey.lost):
        draft.commit(name, "outlive", place.agent_id, place.incarnation, at=0.0)
    for lost in sorted(survey.open):
        place = found.of_transfer(lost)
        draft.commit(name, "settle_lost", lost, _forward(place) if place is not None else None, at=0.0)
    for agent_id in sorted(found):
        places = found.lineages(agent_id)
        birth = max(places, key=lambda place: place.incarnation).birth
        told = [Whereabouts(place.incarnation, place.host_id) for place in places]
        draft.commit(name, "tell_lower", name, agent_id, birth, told)


def _forward(place: Elsewhere) -> Forward:
    return Forward(place.host_id, "", "", place.incarnation, 0.0)


def _go_on(draft: Draft, name: str) -> None:
    draft.put(name, survey=None)
    draft.take_up(name)
