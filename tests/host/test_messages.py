from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core import errors
from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    NotHandledError,
    PagletError,
    ResourceCleanupError,
    SerializationError,
    TransferError,
    TransferInDoubtError,
)
from paglets.core.messages import (
    MAX_PRIORITY,
    MIN_PRIORITY,
    ONEWAY,
    REENTRANT_PRIORITY,
    SYSTEM_PRIORITY,
    UNQUEUED_PRIORITY,
    Message,
    ReplySet,
)
from tests.host.agents import Asker, Gated, Notes, Plain, Recorder, Server, Strict
from tests.host.support import ask, events_of, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.core.messages import FutureReply
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


@pytest.fixture(scope="module")
def server(a: Host) -> PagletProxy:
    return a.create(Server)


@pytest.fixture(scope="module")
def afar(server: PagletProxy, b: Host) -> PagletProxy:
    """The same paglet, seen from the other host."""
    return b.proxy_for(server.host_url, server.agent_id)


VALUES: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, "", 'ä\U0001f41d\0\n"', [], {}, [1, [2, {"a": None}]], {"k": {"b": b"\0\xff"}}, b"",
    b"bytes",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_are(server: PagletProxy, afar: PagletProxy, value: Any) -> None:
    assert server.send(Message("value", arg=value)) == value
    assert afar.send(Message("value", arg=value)) == value
    assert server.send(Message("echo", {"x": value}))["args"]["x"] == value


def test_a_message_arrives_whole(server: PagletProxy) -> None:
    message = Message("echo", {"a": 1}, arg="one", reply_to="me", priority=7)
    assert server.send(message) == message.to_wire()


def test_large_messages(server: PagletProxy, afar: PagletProxy) -> None:
    text = "x" * 3_000_000
    assert server.send(Message("value", arg=text)) == text
    assert afar.send(Message("value", arg=text)) == text
    with pytest.raises(SerializationError, match="bound"):
        server.send(Message("value", arg="x" * 20_000_000))
    assert server.send(Message("value", arg=1)) == 1


def test_what_is_too_large_for_a_link_ends_that_call_and_no_other(
    server: PagletProxy, afar: PagletProxy
) -> None:
    waiting = afar.send_future(Message("block", {"seconds": 0.5}))
    for bad in ("x" * 9_000_000, "x" * 20_000_000):
        with pytest.raises(SerializationError, match="bound"):
            afar.send(Message("value", arg=bad))
        with pytest.raises(SerializationError, match="bound"):
            server.send(Message("value", arg=bad))
    assert waiting.get_reply(10) == "unblocked"
    with pytest.raises(SerializationError, match="bound"):
        afar.send(Message("large", {"bytes": 9_000_000}))
    assert afar.send(Message("value", arg=2)) == 2


@pytest.mark.parametrize(
    "bad", [object(), float("nan"), float("-inf"), threading.Lock()], ids=["object", "nan", "-inf", "lock"]
)
def test_what_a_message_cannot_carry_is_refused_by_name(server: PagletProxy, bad: Any) -> None:
    with pytest.raises(SerializationError):
        server.send(Message("value", {"x": bad}))


@pytest.mark.parametrize("kind", ["object", "nan"])
def test_what_a_reply_cannot_carry_is_an_error_and_the_paglet_lives(server: PagletProxy, kind: str) -> None:
    with pytest.raises(SerializationError):
        server.send(Message(kind))
    assert server.is_active()


def test_nobody_handles_it(a: Host, server: PagletProxy) -> None:
    with pytest.raises(NotHandledError, match="unheard-of"):
        server.send(Message("unheard-of"))
    with pytest.raises(NotHandledError, match="Plain"):
        a.create(Plain, Strict("x", 1)).send(Message("anything"))


def test_nobody_is_there(a: Host, b: Host) -> None:
    with pytest.raises(InvalidAgentError, match="nobody"):
        a.proxy_for(a.address, "nobody").send(Message("x"))
    with pytest.raises(InvalidAgentError, match="nobody"):
        a.proxy_for(b.address, "nobody").send(Message("x"))
    with pytest.raises(InvalidAgentError):
        a.proxy_for(a.address, "no id / at all").send(Message("x"))


LISTED = sorted(
    name
    for name, value in vars(errors).items()
    if isinstance(value, type)
    and issubclass(value, PagletError)
    and value not in {ResourceCleanupError, TransferInDoubtError}
)


@pytest.mark.parametrize("name", LISTED)
def test_listed_errors_arrive_as_their_class(server: PagletProxy, afar: PagletProxy, name: str) -> None:
    for proxy in (server, afar):
        with pytest.raises(PagletError, match="told to") as caught:
            proxy.send(Message("raise", arg=name))
        assert type(caught.value).__name__ == name
        assert "agents.py" in "".join(caught.value.__notes__)


def test_other_errors(server: PagletProxy, afar: PagletProxy) -> None:
    for proxy in (server, afar):
        with pytest.raises(TransferError, match="of its own") as caught:
            proxy.send(Message("raise-own"))
        assert type(caught.value) is TransferError
        with pytest.raises(HostError, match="ZeroDivisionError: by zero"):
            proxy.send(Message("raise-foreign"))
        with pytest.raises(HostError, match="UglyError"):
            proxy.send(Message("raise-ugly"))
        with pytest.raises(ResourceCleanupError) as cleanup:
            proxy.send(Message("cleanup"))
        assert set(cleanup.value.failures) == {"file", "socket"}
        with pytest.raises(TransferInDoubtError) as doubt:
            proxy.send(Message("in-doubt"))
        assert doubt.value.transfer_id == "host/7"


def test_paglets_see_errors_of_each_other(a: Host, server: PagletProxy) -> None:
    other = a.create(Server)
    with pytest.raises(InvalidAgentError, match="nobody"):
        other.send(Message("proxy", {"host_url": a.address, "agent_id": "nobody"}))


def test_handlers_run_on_the_main_thread(server: PagletProxy) -> None:
    assert server.send(Message("thread")) is True


def test_a_reply_that_takes_too_long(a: Host) -> None:
    proxy = a.create(Gated)
    with pytest.raises(HostError, match=r"did not answer|did not finish"):
        proxy.send(Message("block"), timeout=0.1)
    a.notify_message(proxy.agent_id)
    assert proxy.send(Message("value", arg=1), timeout=5) == 1


def test_sender_is_who_the_host_knows(a: Host, server: PagletProxy) -> None:
    sender = a.create(Asker)
    seen = sender.send(Message("ask", server.to_wire()))
    assert seen["sender"] == sender.agent_id


def test_one_way(a: Host, server: PagletProxy, afar: PagletProxy) -> None:
    before = server.send(Message("mark", arg="start"))
    assert server.send_oneway(Message("mark", arg="1")) is None
    assert afar.send_oneway(Message("mark", arg="2")) is None
    assert a.deliver_message(server.agent_id, Message("mark", arg="3", message_type=ONEWAY)) is None
    assert server.send(Message("mark", arg="end")) == before + 4
    wrong = Message("raise-foreign")
    server.send_oneway(wrong)
    failed = eventually(
        lambda: [
            each
            for each in events_of(a, server.agent_id, "message-failed")
            if each.message_id == wrong.message_id
        ]
    )
    assert "by zero" in str(failed[0].error)


def test_futures(server: PagletProxy, afar: PagletProxy) -> None:
    replies = [(server, afar)[number % 2].send_future(Message("value", arg=number)) for number in range(40)]
    assert [reply.get_int_reply(10) for reply in replies] == list(range(40))
    assert server.send_future(Message("value", arg="yes")).get_boolean_reply(10) is True
    assert server.send_future(Message("value", arg=2)).get_float_reply(10) == 2.0
    assert server.send_future(Message("value", arg=None)).get_string_reply(10) == "None"
    wrong = afar.send_future(Message("raise-foreign"))
    assert wrong.wait_for_reply(10)
    assert wrong.is_available()
    with pytest.raises(HostError, match="by zero"):
        wrong.get_reply()


def test_a_future_that_is_not_there_yet(a: Host) -> None:
    proxy = a.create(Gated)
    reply = proxy.send_future(Message("block"))
    assert not reply.wait_for_reply(0.05)
    with pytest.raises(TimeoutError):
        reply.get_reply(0.01)
    eventually(lambda: a.notify_message(proxy.agent_id) or reply.wait_for_reply(0.02))
    assert reply.get_reply() == "unblocked"


def test_reply_sets_give_replies_as_they_come(a: Host) -> None:
    slow, fast = a.create(Gated), a.create(Server)
    late, early = slow.send_future(Message("block")), fast.send_future(Message("value", arg=1))
    replies = ReplySet([late, early])
    assert replies.get_next_future_reply(10) is early
    assert replies.count_unavailable() == 1
    eventually(lambda: a.notify_message(slow.agent_id) or late.wait_for_reply(0.02))
    assert [each.get_reply() for each in replies] == ["unblocked"]


# --- order ------------------------------------------------------------------------------------------------


@pytest.fixture
def blocked(a: Host) -> Iterator[tuple[PagletProxy, Any]]:
    """A paglet that is busy with a message, and what lets it go on."""
    proxy = a.create(Gated)
    reply = proxy.send_future(Message("block"))
    eventually(lambda: "block" in proxy_state(a, proxy))

    def release() -> list[str]:
        eventually(lambda: a.notify_message(proxy.agent_id) or reply.wait_for_reply(0.02))
        eventually(lambda: a.mailbox_status(proxy.agent_id)["waiting"] == 0)
        log = proxy.send(Message("peek"))
        return log[log.index("block") + 1 :]

    yield proxy, release
    proxy.dispose()


def open_gate(host: Host, proxy: PagletProxy, blocked: FutureReply) -> None:
    eventually(lambda: host.notify_message(proxy.agent_id) or blocked.wait_for_reply(0.02))


def proxy_state(host: Host, proxy: PagletProxy) -> list[str]:

    return host.get_state(proxy.agent_id, Notes).log


def test_messages_are_handled_by_priority_then_arrival(a: Host, blocked: tuple[PagletProxy, Any]) -> None:
    proxy, release = blocked
    for text, priority in [
        ("normal 1", 5), ("low", MIN_PRIORITY), ("normal 2", 5), ("high", MAX_PRIORITY), ("system", SYSTEM_PRIORITY),
        ("reentrant", REENTRANT_PRIORITY), ("unqueued", UNQUEUED_PRIORITY), ("normal 3", 5),
    ]:  # fmt: skip
        proxy.send_oneway(Message("mark", arg=text, priority=priority))
    assert a.mailbox_status(proxy.agent_id) == {
        "agent_id": proxy.agent_id, "waiting": 8, "in_progress": True, "held": False,
    }  # fmt: skip
    assert release() == [
        "unqueued", "reentrant", "system", "high", "normal 1", "normal 2", "normal 3", "low",
    ]  # fmt: skip


def test_senders_keep_their_order(a: Host, blocked: tuple[PagletProxy, Any]) -> None:
    proxy, release = blocked
    for number in range(50):
        proxy.send_oneway(Message("mark", arg=str(number)))
    assert release() == [str(number) for number in range(50)]


def test_handlers_are_serial(a: Host) -> None:
    proxy = a.create(Recorder)
    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(ask, proxy, "add") for _ in range(200)]
    assert sorted(reply.result() for reply in replies) == list(range(1, 201))


# --- multicast --------------------------------------------------------------------------------------------


def test_multicast_reaches_every_active_paglet_here(start: Any) -> None:
    host: Host = start("m")
    first, second, parked = (host.create(Server) for _ in range(3))
    parked.deactivate()
    replies = host.multicast_message("value", {})
    assert replies.wait_for_all_replies(10)
    assert [each.get_reply() for each in replies] == [None, None]
    assert len(list(host.multicast_message("add", {"by": 1}, exclude=first.agent_id))) == 1
    assert ask(first, "add", by=0) == 0
    assert ask(second, "add", by=0) == 1
    assert not parked.is_active()


def test_multicast_from_a_paglet(start: Any) -> None:
    host: Host = start("m")
    speaker, listener = host.create(Asker), host.create(Server)
    assert sorted(ask(speaker, "multicast", include_self=False)) == [1]
    assert ask(listener, "add", by=0) == 1


def test_calls_that_wait_leave_room_for_moves(a: Host, b: Host) -> None:
    """A slow paglet with thousands of callers does not keep its host from talking to ours."""
    slow = a.create(Gated)
    afar = b.proxy_for(slow.host_url, slow.agent_id)
    blocked = afar.send_future(Message("block", {"seconds": 60.0}), timeout=60)
    waiting = [afar.send_future(Message("value", arg=number), timeout=60) for number in range(4200)]
    moved = b.create(Server).dispatch(a.address)
    assert moved.info()["host_url"] == a.address
    eventually(lambda: any(reply.is_available() for reply in waiting))
    assert not blocked.is_available(), "what is available was refused"
    eventually(lambda: a.notify_message(slow.agent_id) or blocked.wait_for_reply(0.02))
    refused = 0
    for reply in waiting:
        try:
            reply.get_reply(60)
        except HostError as error:
            refused += "too many calls" in str(error)
    assert 0 < refused < 1000
    moved.dispose()
    slow.dispose()


def test_what_was_handed_over_ahead_gives_way(a: Host) -> None:
    """A few messages are with the paglet's process already; priority counts for them all the same."""
    for _ in range(6):
        proxy = a.create(Gated)
        reply = proxy.send_future(Message("block"))
        eventually(lambda proxy=proxy: "block" in proxy_state(a, proxy))
        for number in range(8):
            proxy.send_oneway(Message("mark", arg=f"normal {number}"))
        proxy.send_oneway(Message("mark", arg="high", priority=MAX_PRIORITY))
        proxy.send_oneway(Message("mark", arg="higher", priority=SYSTEM_PRIORITY))
        proxy.send_oneway(Message("mark", arg="low", priority=MIN_PRIORITY))
        open_gate(a, proxy, reply)
        log = proxy.send(Message("peek", priority=MIN_PRIORITY))
        assert log[log.index("block") + 1 :] == [
            "higher",
            "high",
            *(f"normal {number}" for number in range(8)),
            "low",
        ]


def test_an_operation_waits_for_one_handler_not_for_those_behind(a: Host, b: Host) -> None:
    proxy = a.create(Server)
    sleeping = [proxy.send_future(Message("block", {"seconds": 0.4})) for _ in range(6)]
    eventually(lambda: a.mailbox_status(proxy.agent_id)["in_progress"])
    started = time.monotonic()
    proxy.dispatch("b")
    assert time.monotonic() - started < 1.2
    assert not sleeping[2].is_available()
    assert [reply.get_reply(10) for reply in sleeping] == ["unblocked"] * 6
    assert ask(proxy, "where")[0] == "b"
