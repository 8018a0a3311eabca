"""Nothing waits for itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import LifecycleError, PagletCrashedError
from paglets.core.messages import CLONE, DEACTIVATE, DISPATCH, DISPOSE, Message
from tests.host.agents_in_circles import Caller, Circler, Porter
from tests.host.support import ask, eventually

if TYPE_CHECKING:
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


def relay(first: PagletProxy, *others: PagletProxy, **options: Any) -> Any:
    route = [[each.host_url, each.agent_id] for each in others]
    return first.send(Message("relay", {"route": route}), **options)


def test_a_paglet_that_sends_to_itself(a: Host) -> None:
    proxy = a.create(Circler)
    with pytest.raises(LifecycleError, match="never be answered"):
        relay(proxy, proxy)
    assert ask(proxy, "add") == 1


def test_circles(a: Host, b: Host) -> None:
    here, near, far = a.create(Circler), a.create(Circler), b.create(Circler)
    with pytest.raises(LifecycleError, match=f"{near.agent_id} -> "):
        relay(here, near, here)
    with pytest.raises(LifecycleError, match=f"{far.agent_id} -> "):
        relay(here, far, here)
    with pytest.raises(LifecycleError, match=f"{far.agent_id} -> "):
        relay(here, near, far, near)
    assert relay(here, near, far) == 1
    assert relay(far, near, here) == 1


def test_the_circle_is_found_where_it_has_moved_to(a: Host, b: Host) -> None:
    first, second = a.create(Circler), a.create(Circler)
    second.dispatch("b")
    old = a.proxy_for(a.address, second.agent_id)
    with pytest.raises(LifecycleError, match="never be answered"):
        relay(first, old, first)


def test_who_does_not_wait_may_send(a: Host) -> None:
    proxy = a.create(Circler)
    assert ask(proxy, "self-future") is False
    ask(proxy, "self-oneway")
    eventually(lambda: ask(proxy, "add", by=0) == 2)


def test_who_does_not_wait_any_more_is_no_part_of_a_circle(a: Host) -> None:
    first, second = a.create(Circler), a.create(Circler)
    second.deactivate()
    for _ in range(2):
        assert relay(first, second) > 0
        assert relay(second, first) > 0


def test_two_that_send_to_each_other_at_the_same_time(a: Host) -> None:
    first, second = a.create(Circler), a.create(Circler)
    refused = 0
    for _ in range(10):
        replies = [
            one.send_future(Message("relay", {"route": [[a.address, other.agent_id]]}))
            for one, other in ((first, second), (second, first))
        ]
        for reply in replies:
            error = reply.future.exception(10)
            assert error is None or "never be answered" in str(error)
            refused += error is not None
    assert refused < 20, "one of the two is answered"


def test_in_hooks(a: Host, b: Host) -> None:
    started = time.monotonic()
    with pytest.raises(LifecycleError, match="never be answered"):
        a.create(Circler, init="talk-to-myself")
    mother = a.create(Circler)
    with pytest.raises(LifecycleError, match="never be answered"):
        ask(mother, "bear")
    assert ask(mother, "add") == 1
    sleeper, waker = a.create(Circler), a.create(Circler)
    sleeper.send(Message("remember", arg=waker.agent_id))
    sleeper.deactivate()
    with pytest.raises(PagletCrashedError, match="never be answered"):
        relay(waker, sleeper)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("kind", [DEACTIVATE, DISPATCH, CLONE, DISPOSE])
def test_the_runtimes_own_messages_to_itself(a: Host, b: Host, kind: str) -> None:
    proxy = a.create(Circler)
    args = {"target": "b"} if kind in {DISPATCH, CLONE} else {}
    answer = ask(proxy, "self-reserved", kind=kind, args=args)
    match kind:
        case "_deactivate":
            assert answer == {"deactivated": True, "proxy": proxy.to_wire()}
            assert not proxy.is_active()
        case "_dispatch":
            assert answer["proxy"] == {"host_url": b.address, "agent_id": proxy.agent_id}
        case "_clone":
            assert answer["proxy"]["host_url"] == b.address
        case _:
            assert not proxy.is_valid()


def test_a_paglet_that_asks_its_mover_something_on_arrival(a: Host, b: Host) -> None:
    """The mover waits for the arrival hook in its handler; that wait gives way."""
    porter = a.create(Porter)
    load = a.create(Caller, init=porter.agent_id)
    started = time.monotonic()
    assert ask(porter, "carry", agent_id=load.agent_id, to="b")["host_url"] == b.address
    assert time.monotonic() - started < 8
    eventually(lambda: ask(b.proxy_for(b.address, load.agent_id), "peek")[-1:] == ["told: 7"] or None)
