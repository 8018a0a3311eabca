"""A message that waited, and in whose handler the paglet is parked or put into the outbox, is handled once.

The handler is still at work in the old process then: what comes next must not find the message in the queue again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.messages import Message
from tests.faults.site import eventually
from tests.faults.test_messages_follow import additions, count_of, parked_with_messages

if TYPE_CHECKING:
    from tests.faults.site import Site


def held_in_its_handler(site: Site, kind: str, point: str) -> tuple[str, int]:
    """Woken for such a message, which waits before three others, it has left and is held; and what it had counted."""
    agent_id = parked_with_messages(site, Message(kind, {"to": site["b"].url}), *additions(3))
    before = count_of(site, "a", agent_id)
    site["a"].hold(point)
    site.soon(site.proxy("a", agent_id).activate)
    site["a"].reached(point)
    assert not [copy for copy in site.copies(agent_id) if copy.status == "active"]
    return agent_id, before


def test_one_that_parks_itself_is_woken_before_its_handler_has_returned(site: Site) -> None:
    agent_id, before = held_in_its_handler(site, "park", "parked")
    site.proxy("a", agent_id).activate()
    assert site.tell("a", agent_id, "look")["count"] == before + 1111
    site["a"].let_go("parked")
    assert site.settled(agent_id).status == "active"


def test_one_that_parks_itself_over_a_power_cut(site: Site) -> None:
    agent_id, before = held_in_its_handler(site, "park", "parked")
    site["a"].restart()
    site.proxy("a", agent_id).activate()
    assert site.tell("a", agent_id, "look")["count"] == before + 1111
    assert site.settled(agent_id).status == "active"


def test_one_that_waits_for_its_target_over_a_power_cut(site: Site) -> None:
    site["b"].kill()
    agent_id, before = held_in_its_handler(site, "queue", "queued")
    site["a"].restart()
    site["b"].start()
    eventually(lambda: [copy.host for copy in site.copies(agent_id)] == ["b"])
    eventually(lambda: site.tell("b", agent_id, "look")["count"] == before + 1111)
    assert site.tell("b", agent_id, "look")["log"].count("arrival@b") == 1
