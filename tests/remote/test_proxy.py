"""Proxies: what they send, what they bring back, and that they follow their paglet."""

from __future__ import annotations

import concurrent.futures
import json
import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    NotHandledError,
    PagletError,
    RemoteHostError,
    SerializationError,
)
from paglets.core.messages import FUTURE, ONEWAY, SYNCHRONOUS, Message, ReplySet
from paglets.core.runtime_values import ACTIVE, INACTIVE
from paglets.remote import api
from paglets.remote.moved import MovedReply
from paglets.remote.proxy import PagletProxy
from paglets.remote.references import PagletProxyRef
from paglets.remote.transfer import TransferTicket

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = "https://here:1"
THERE = "https://there:2"


class Switchboard:
    """A client that hands every call to a function of the test, through the encoding that the wire uses."""

    def __init__(self, answer: Callable[[str, Any], Any], local_url: str | None = None) -> None:
        self._answer = answer
        self.local_url = local_url
        self.calls: list[tuple[str, str, Any]] = []
        self.timeouts: list[float | None] = []

    def call(self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None) -> bytes:
        received = msgspec.json.decode(msgspec.json.encode(params), type=type(params))
        self.calls.append((host_url, method, received))
        self.timeouts.append(timeout)
        result = self._answer(method, received)
        return result if isinstance(result, bytes) else msgspec.json.encode(result)

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        future: concurrent.futures.Future[bytes] = concurrent.futures.Future()
        try:
            future.set_result(self.call(host_url, method, params, timeout=timeout))
        except PagletError as error:
            future.set_exception(error)
        return future

    def proxy_for(self, host_url: str, agent_id: str) -> PagletProxy:
        return PagletProxy(host_url, agent_id, self)


def proxy_with(result: Any) -> tuple[PagletProxy, Switchboard]:
    return proxy_of(lambda method, params: result)


def proxy_of(answer: Callable[[str, Any], Any]) -> tuple[PagletProxy, Switchboard]:
    board = Switchboard(answer)
    return board.proxy_for(HERE, "a1"), board


def test_a_message_travels_whole_and_its_reply_comes_back() -> None:
    proxy, board = proxy_with({"sum": 3})
    message = Message("add", {"x": 1, "data": b"\x00\xff"}, arg=[1], reply_to="b2", priority=7)
    assert proxy.send(message, timeout=3, no_delay=True, activate_if_inactive=False) == {"sum": 3}
    url, method, params = board.calls[0]
    assert (url, method, board.timeouts) == (HERE, api.MESSAGE_SEND, [3])
    assert (params.agent_id, params.kind, params.message_id) == ("a1", "add", message.message_id)
    assert (params.priority, params.timestamp, params.timeout) == (7, message.timestamp, 3)
    assert (params.message_type, params.no_delay, params.activate_if_inactive) == (SYNCHRONOUS, True, False)
    body = json.loads(bytes(params.body))
    assert set(body) == {"args", "arg", "reply_to"}
    assert body["args"]["data"] == {"__paglets_binary__": "bytes", "base64": "AP8="}


def test_bytes_in_a_reply_come_back_as_bytes() -> None:
    proxy, _ = proxy_with({"__paglets_binary__": "bytes", "base64": "AP8="})
    assert proxy.send(Message("x")) == b"\x00\xff"


@pytest.mark.parametrize("value", [math.nan, object(), {1, object()}])
def test_arguments_that_are_no_data_are_refused_before_anything_is_sent(value: object) -> None:
    proxy, board = proxy_with(None)
    with pytest.raises(SerializationError):
        proxy.send(Message("x", {"value": value}))
    assert not board.calls


def test_oneway_and_future_messages_say_so() -> None:
    proxy, board = proxy_with({"accepted": True})
    assert proxy.send_oneway(Message("x")) is None
    reply = proxy.send_future(Message("y"))
    assert reply.wait_for_reply(1)
    assert reply.get_reply() == {"accepted": True}
    assert [params.message_type for _, _, params in board.calls] == [ONEWAY, FUTURE]


def test_a_future_reply_raises_what_the_handler_raised() -> None:
    def fail(method: str, params: Any) -> Any:
        raise NotHandledError("x")

    reply = proxy_of(fail)[0].send_future(Message("x"))
    with pytest.raises(NotHandledError):
        reply.get_reply(1)


def test_a_future_reply_that_is_given_up_is_given_up_below() -> None:
    below: concurrent.futures.Future[bytes] = concurrent.futures.Future()

    class Slow(Switchboard):
        def submit(self, *args: Any, **named: Any) -> concurrent.futures.Future[bytes]:
            return below

    reply = Slow(lambda method, params: None).proxy_for(HERE, "a1").send_future(Message("x"))
    assert not reply.is_available()
    with pytest.raises(TimeoutError):
        reply.get_reply(0.01)
    assert reply.future.cancel()
    assert below.cancelled()
    assert reply.future.cancelled()


def test_replies_can_be_collected() -> None:
    proxy, _ = proxy_of(lambda method, params: params.kind)
    replies = ReplySet([proxy.send_future(Message(kind)) for kind in "abc"])
    assert replies.wait_for_all_replies(1)
    assert sorted(reply.get_reply() for reply in replies) == ["a", "b", "c"]


def test_a_proxy_learns_from_an_answer_where_its_paglet_is_now() -> None:
    proxy, board = proxy_with(MovedReply.at(b'"done"', THERE))
    assert proxy.send(Message("x")) == "done"
    assert proxy.host_url == THERE
    proxy.send(Message("x"))
    assert [url for url, _, _ in board.calls] == [HERE, THERE]
    other, _ = proxy_with(MovedReply.at(b'"done"', THERE))
    assert other.send_future(Message("x")).get_reply(1) == "done"
    assert other.host_url == THERE


def test_dispatch_takes_the_proxy_along() -> None:
    proxy, board = proxy_with(api.Place(THERE, "a1"))
    ticket = TransferTicket("there", timeout=20, retries=2, retry_interval=1)
    moved = proxy.dispatch(ticket)
    assert moved == proxy == PagletProxy(THERE, "a1", None)
    assert TransferTicket.from_wire(board.calls[0][2].ticket) == ticket
    assert board.timeouts[0] is not None
    assert board.timeouts[0] > 63  # longer than all its tries


def test_a_clone_is_another_paglet_and_the_original_stays() -> None:
    proxy, board = proxy_with(api.Place(THERE, "a2"))
    assert proxy.clone("there") == PagletProxy(THERE, "a2", None)
    assert proxy.clone().agent_id == "a2"
    assert proxy.host_url == HERE
    assert [params.ticket is None for _, _, params in board.calls] == [False, True]


def test_parking_waking_and_ending() -> None:
    proxy, board = proxy_of(lambda method, params: {"host_url": HERE, "agent_id": "a1"})
    policy = DeactivationPolicy(activate_on_message=False)
    proxy.deactivate(reason="night", policy=policy, metadata={"a": 1})
    assert proxy.activate() == proxy
    assert proxy.dispose() is None
    request = board.calls[0][2].request
    assert (request["reason"], request["source"], request["metadata"]) == ("night", "external", {"a": 1})
    assert request["policy"]["activate_on_message"] is False
    assert [method for _, method, _ in board.calls] == [
        api.PAGLETS_DEACTIVATE,
        api.PAGLETS_ACTIVATE,
        api.PAGLETS_DISPOSE,
    ]


def test_a_place_that_is_none_is_an_error_that_names_the_host() -> None:
    proxy, _ = proxy_with({"nonsense": 1})
    with pytest.raises(RemoteHostError, match=f"{HERE} answered"):
        proxy.dispatch("there")


@pytest.mark.parametrize("active", [True, False])
def test_what_is_known_of_a_paglet(active: bool) -> None:
    proxy, _ = proxy_with({"agent_id": "a1", "class_name": "m:C", "active": active, "pid": 7})
    assert proxy.info()["pid"] == 7
    assert proxy.is_valid()
    assert proxy.is_active() is active
    assert proxy.is_state(ACTIVE) is active
    assert proxy.is_state(INACTIVE) is not active
    assert proxy.is_state(ACTIVE | INACTIVE)
    assert proxy.get_agent_class_name() == "m:C"
    assert (proxy.get_address(), proxy.get_agent_id()) == (HERE, "a1")


@pytest.mark.parametrize("error", [InvalidAgentError("x"), RemoteHostError("x")])
def test_a_paglet_that_is_not_to_be_had_is_not_valid(error: Exception) -> None:
    def fail(method: str, params: Any) -> Any:
        raise error

    proxy, _ = proxy_of(fail)
    assert not proxy.is_valid()
    with pytest.raises(type(error)):
        proxy.is_active()


def test_remote_is_what_is_not_here() -> None:
    def nothing(method: str, params: Any) -> None: ...

    assert not Switchboard(nothing, HERE).proxy_for(HERE, "a1").is_remote()
    assert Switchboard(nothing, HERE).proxy_for(THERE, "a1").is_remote()
    assert Switchboard(nothing).proxy_for(HERE, "a1").is_remote()
    assert not Switchboard(nothing).proxy_for(HERE, "a1").is_remote(HERE + "/")


def test_proxies_are_values() -> None:
    proxy, board = proxy_with(None)
    assert proxy.to_wire() == {"host_url": HERE, "agent_id": "a1"}
    assert PagletProxy.from_wire(proxy.to_wire(), board) == proxy
    assert PagletProxyRef.from_proxy(proxy) == proxy.ref() == PagletProxyRef.from_wire(proxy.to_wire())
    assert proxy.ref().resolve(board) == proxy
    assert len({proxy, PagletProxy.from_wire(proxy.to_wire())}) == 1
    assert proxy != "a1"
    assert HERE in repr(proxy)


@pytest.mark.parametrize("payload", [{}, {"host_url": HERE}, {"host_url": 1, "agent_id": "a"}, [], None, "x"])
def test_what_is_no_address_is_refused(payload: Any) -> None:
    for read in (PagletProxy.from_wire, PagletProxyRef.from_wire):
        with pytest.raises(SerializationError):
            read(payload)


def test_without_a_client_a_proxy_says_what_it_needs() -> None:
    with pytest.raises(HostError, match="resolve its ref"):
        PagletProxy.from_wire({"host_url": HERE, "agent_id": "a1"}).send(Message("x"))
    with pytest.raises(HostError, match="with a context or a client"):
        PagletProxyRef(HERE, "a1").resolve()
