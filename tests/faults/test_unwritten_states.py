"""A message of the queue whose effect could not be written: its class wants every message durable, the disk is full.

The paglet has handled it, so it must not come again while that life goes on; and it must come again in the next one
when no state that holds it was written until then.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import msgspec
import pytest

from paglets.core.errors import TransferError
from paglets.core.messages import Message
from paglets.core.policies import CheckpointPolicy
from paglets.persistence.persistency import DeactivationPolicy
from paglets.remote import api
from paglets.serialization.codec import qualified_name
from tests.faults.agents import Traveller
from tests.faults.site import eventually

if TYPE_CHECKING:
    from tests.faults.site import Site

QUEUES = DeactivationPolicy(activate_on_message=False, queue_messages_when_inactive=True)


class Cautious(Traveller):
    """Every message that it has handled is durable."""

    CHECKPOINT = CheckpointPolicy.every_message()


def handled_and_not_written(site: Site) -> str:
    """A paglet on a at work that has counted 1, which the disk had no room for."""
    params = api.CreateParams(class_name=qualified_name(Cautious), state=msgspec.Raw(b"{}"))
    agent_id = site.ask("a", api.PAGLETS_CREATE, params)["agent_id"]
    proxy = site.proxy("a", agent_id)
    proxy.deactivate(policy=QUEUES)
    proxy.send(Message("wait", {"point": "about-to-add"}))
    proxy.send(Message("add", {"by": 1}))
    site["a"].hold("about-to-add")
    proxy.activate()
    site["a"].reached("about-to-add")
    site["a"].fail("before:active", errno.ENOSPC)
    site["a"].let_go("about-to-add")
    site["a"].reached("before:active")
    eventually(lambda: _events(site, agent_id))
    return agent_id


def _events(site: Site, agent_id: str) -> bool:
    found = site.ask("a", api.EVENTS_LIST, api.EventsListParams(limit=1000))["events"]
    return any((event["agent_id"], event["kind"]) == (agent_id, "message-failed") for event in found)


def test_its_next_life_handles_it_again(site: Site) -> None:
    agent_id = handled_and_not_written(site)
    site["a"].restart()
    eventually(lambda: site.tell("a", agent_id, "look")["count"] == 1)


def test_it_comes_no_more_once_a_later_state_is_written(site: Site) -> None:
    agent_id = handled_and_not_written(site)
    assert site.tell("a", agent_id, "add", by=10) == 11
    site["a"].restart()
    assert site.tell("a", agent_id, "add", by=100) == 111


@pytest.mark.parametrize("how", ["dispatch", "go", "clone", "deactivate"])
def test_it_does_not_come_again_where_the_paglet_goes_on(site: Site, how: str) -> None:
    agent_id = handled_and_not_written(site)
    proxy, to = site.proxy("a", agent_id), site["b"].url
    if how == "dispatch":
        proxy.dispatch(to)
    elif how == "go":
        site.tell("a", agent_id, "go", to=to)
    elif how == "clone":
        copy = proxy.clone(to)
        assert site.tell("b", copy.agent_id, "add", by=10) == 11
    else:
        proxy.deactivate()
        proxy.activate()
    assert site.tell("a", agent_id, "add", by=10) == 11


def test_a_paglet_does_not_leave_while_the_disk_has_no_room_for_it(site: Site) -> None:
    agent_id = handled_and_not_written(site)
    site["a"].fail("before:active", errno.ENOSPC)
    with pytest.raises(TransferError, match="full"):
        site.proxy("a", agent_id).dispatch(site["b"].url)
    assert site.tell("a", agent_id, "add", by=10) == 11
    site.proxy("a", agent_id).dispatch(site["b"].url)
    assert site.tell("a", agent_id, "add", by=100) == 111
