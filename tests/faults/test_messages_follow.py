"""What was accepted for a paglet that is parked follows it when it moves: all of it, in order, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.messages import Message
from paglets.persistence.store import Store
from paglets.remote import api
from tests.faults.moving import begin, traveller
from tests.faults.site import eventually

if TYPE_CHECKING:
    import concurrent.futures

    from tests.faults.site import Site

QUEUES = DeactivationPolicy(activate_on_message=False, queue_messages_when_inactive=True)


def parked_with_messages(site: Site, *messages: Message) -> str:
    """A traveller on a that takes messages without waking up; these wait for it."""
    agent_id = traveller(site)
    request = DeactivationRequest(policy=QUEUES)
    site.ask("a", api.PAGLETS_DEACTIVATE, api.DeactivateParams(agent_id=agent_id, request=request.to_wire()))
    for message in messages:
        answer = site.proxy("a", agent_id).send(message)
        assert answer["queued"], answer
    return agent_id


def additions(count: int) -> list[Message]:
    """Messages of which each changes the sum differently."""
    return [Message("add", {"by": 10**number}) for number in range(count)]


def count_of(site: Site, name: str, agent_id: str) -> int:
    """What a parked paglet has counted."""
    return site.ask(name, api.PAGLETS_STATE, api.PagletParams(agent_id=agent_id))["state"]["count"]


def wakes_with(site: Site, agent_id: str, expected: int) -> None:
    """Woken on b, it has handled everything, once."""
    site.proxy("b", agent_id).activate()
    eventually(lambda: site.tell("b", agent_id, "look")["count"] == expected)


def send_off(site: Site, agent_id: str) -> concurrent.futures.Future[Any]:
    """Dispatch it, parked as it is."""
    return begin(site, "dispatch", agent_id)


def left_behind(site: Site, name: str, agent_id: str) -> int:
    """How many messages wait for it in the store of a host that does not run."""
    assert site[name].process is None
    with Store(site[name].data_dir / "store") as store:
        return store.read_sync(lambda tx: len(tx.queued(agent_id)))


def test_they_follow(site: Site) -> None:
    agent_id = parked_with_messages(site, *additions(4))
    before = count_of(site, "a", agent_id)
    send_off(site, agent_id).result(20.0)
    wakes_with(site, agent_id, before + 1111)
    site["a"].order("stop")
    site["a"].wait_stopped()
    assert left_behind(site, "a", agent_id) == 0


@pytest.mark.parametrize("point", ["before:departed", "after:departed"])
def test_over_a_power_cut_of_the_source(site: Site, point: str) -> None:
    agent_id = parked_with_messages(site, *additions(4))
    before = count_of(site, "a", agent_id)
    site["a"].hold(point)
    send_off(site, agent_id)
    site["a"].reached(point)
    site["a"].restart()
    assert site.settled(agent_id).host == "b"
    wakes_with(site, agent_id, before + 1111)


def test_over_an_absence_of_the_target(site: Site) -> None:
    agent_id = parked_with_messages(site, *additions(4))
    before = count_of(site, "a", agent_id)
    site["a"].hold("before:departed")
    send_off(site, agent_id)
    site["a"].reached("before:departed")
    site["b"].kill()
    site["a"].let_go("before:departed")
    eventually(lambda: not site.copies(agent_id))
    site["a"].restart()  # it has not been able to send them on in this life either
    site["b"].start()
    wakes_with(site, agent_id, before + 1111)


def test_the_message_that_made_it_leave_does_not_follow(site: Site) -> None:
    agent_id = parked_with_messages(site, Message("go", {"to": site["b"].url}), *additions(3))
    before = count_of(site, "a", agent_id)
    site.proxy("a", agent_id).activate()
    eventually(lambda: [copy.host for copy in site.copies(agent_id)] == ["b"])
    eventually(lambda: site.tell("b", agent_id, "look")["count"] == before + 111)
    assert site.tell("b", agent_id, "look")["log"].count("arrival@b") == 1
    site["a"].order("stop")
    site["a"].wait_stopped()
    assert left_behind(site, "a", agent_id) == 0


def test_the_message_in_whose_handler_it_moves_to_the_host_it_is_on_is_handled_once(site: Site) -> None:
    agent_id = parked_with_messages(site, Message("go", {"to": site["a"].url}), *additions(3))
    before = count_of(site, "a", agent_id)
    site.proxy("a", agent_id).activate()
    eventually(lambda: site.tell("a", agent_id, "look")["count"] == before + 111)
    assert site.tell("a", agent_id, "look")["log"].count("arrival@a") == 1


@pytest.mark.parametrize("point", ["before:departed", "after:departed"])
def test_the_message_that_made_it_leave_does_not_follow_over_a_power_cut(site: Site, point: str) -> None:
    agent_id = parked_with_messages(site, Message("go", {"to": site["b"].url}), *additions(3))
    before = count_of(site, "a", agent_id)
    site["a"].hold(point)
    site.proxy("a", agent_id).activate()
    site["a"].reached(point)
    site["a"].restart()
    assert site.settled(agent_id).host == "b"
    all_are_sent_on(site, agent_id)
    assert site.tell("b", agent_id, "look")["count"] == before + 111
    assert site.tell("b", agent_id, "look")["log"].count("arrival@b") == 1


def test_once_when_the_source_is_killed_between_their_acceptance_and_its_note_of_that(site: Site) -> None:
    agent_id = parked_with_messages(site, *additions(4))
    before = count_of(site, "a", agent_id)
    site["a"].hold("after:departed")
    send_off(site, agent_id)
    site["a"].reached("after:departed")
    site["a"].hold("before:commit")
    site["a"].let_go("after:departed")
    site["a"].reached("before:commit")
    site.proxy("b", agent_id).activate()
    assert before <= site.tell("b", agent_id, "look")["count"] <= before + 1111
    site["a"].restart()
    all_are_sent_on(site, agent_id)
    assert site.tell("b", agent_id, "look")["count"] == before + 1111


def all_are_sent_on(site: Site, agent_id: str) -> None:
    """Stop a until nothing waits there any more, and start it."""

    def nothing_waits() -> bool:
        site["a"].order("stop")
        site["a"].wait_stopped()
        with Store(site["a"].data_dir / "store") as store:
            waiting = store.read_sync(lambda tx: [*tx.queued(agent_id), *tx.outbox.entries(0, 10)])
        site["a"].start()
        return not waiting

    eventually(nothing_waits, within=60.0)


def test_home_again_before_they_were_sent_on(site: Site) -> None:
    """They are in the queue of the very host that it came back to, and must stay there."""
    agent_id = parked_with_messages(site, *additions(4))
    before = count_of(site, "a", agent_id)
    site["a"].hold("verdict-received")
    send_off(site, agent_id)
    site["a"].reached("verdict-received")
    back = api.DispatchParams(agent_id=agent_id, ticket={"destination": site["a"].url})
    site.ask("b", api.PAGLETS_DISPATCH, back)
    site["a"].let_go("verdict-received")
    assert site.settled(agent_id).host == "a"
    site.proxy("a", agent_id).activate()
    eventually(lambda: site.tell("a", agent_id, "look")["count"] == before + 1111)


def test_a_message_that_waits_is_read_back_as_it_was() -> None:
    """The journal keeps what the door took in."""
    params = api.MessageParams(
        agent_id="x", kind="add", message_id="1", body=msgspec.Raw(b'{"args":{"by":1}}')
    )
    assert msgspec.json.decode(msgspec.json.encode(params), type=api.MessageParams) == params
