from __future__ import annotations

import concurrent.futures
import json
import os
from typing import Any

import pytest

from paglets.core.errors import HostError, SerializationError
from paglets.core.messages import (
    MAX_PRIORITY,
    MIN_PRIORITY,
    NORMAL_PRIORITY,
    REENTRANT_PRIORITY,
    REQUEST_PRIORITY,
    SYNCHRONOUS,
    SYSTEM_PRIORITY,
    UNQUEUED_PRIORITY,
    FutureReply,
    Message,
)


def test_a_message_starts_plain_and_has_an_id_of_its_own():
    first, second = Message("go"), Message("go")
    assert (first.args, first.arg, first.priority, first.message_type) == (
        {},
        None,
        NORMAL_PRIORITY,
        SYNCHRONOUS,
    )
    assert first.message_id != second.message_id
    assert first.args is not second.args
    assert int(first.message_id, 16) >= 0


def test_arguments_go_by_name_or_alone():
    message = Message("go").set_arg("x", 1).set_arg("y", None)
    assert message.get_arg("x") == 1
    assert message.get_arg("y", 5) is None
    assert message.get_arg("z", 5) == 5
    assert message.get_arg() is None
    assert message.get_arg(default=7) == 7
    assert Message("go", arg=3).get_arg() == 3
    assert message.set_arg(None, 4).arg == 4


def test_same_kind_compares_with_a_kind_or_a_message():
    assert Message("go").same_kind("go")
    assert Message("go").same_kind(Message("go"))
    assert not Message("go").same_kind("stop")


def test_priority_steps_stay_within_bounds():
    message = Message("go", priority=MAX_PRIORITY)
    message.increase_priority()
    assert message.priority == MAX_PRIORITY
    for _ in range(20):
        message.decrease_priority()
    assert message.priority == MIN_PRIORITY
    message.increase_priority()
    assert message.priority == MIN_PRIORITY + 1


def test_special_priorities_have_their_order():
    assert REQUEST_PRIORITY + 1 == SYSTEM_PRIORITY
    assert SYSTEM_PRIORITY + 1 == REENTRANT_PRIORITY == 0xFFFFFFFF
    assert UNQUEUED_PRIORITY == 0


def test_the_wire_form_comes_back_equal():
    message = Message("go", {"x": [1]}, arg="a", sender="s", reply_to="r", priority=9, message_type=1)
    assert Message.from_wire(json.loads(json.dumps(message.to_wire()))) == message
    assert Message.from_wire({"kind": "go", "new field": 1}).kind == "go"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"kind": 1},
        {"kind": "go", "args": []},
        {"kind": "go", "priority": True},
        {"kind": "go", "timestamp": "now"},
    ],
)
def test_a_malformed_message_is_refused(wrong: dict[str, Any]):
    with pytest.raises(SerializationError, match="Message"):
        Message.from_wire(wrong)


def ready(value: Any) -> FutureReply:
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_result(value)
    return FutureReply(future)


def test_a_reply_is_waited_for_within_a_bound():
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    reply = FutureReply(future)
    assert not reply.is_available()
    assert not reply.wait_for_reply(0.01)
    with pytest.raises(TimeoutError):
        reply.get_reply(0.01)
    future.set_result(5)
    assert reply.is_available()
    assert reply.wait_for_reply()
    assert reply.get_reply() == 5


def test_a_reply_raises_what_the_handler_raised():
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_exception(HostError("no"))
    reply = FutureReply(future)
    assert reply.wait_for_reply()
    with pytest.raises(HostError, match="no"):
        reply.get_reply()


def test_replies_come_as_the_type_asked_for():
    assert ready(1).get_boolean_reply() is True
    assert ready(3).get_int_reply() == 3
    assert ready(3).get_float_reply() == 3.0
    assert ready("x").get_string_reply() == "x"
    with pytest.raises(ValueError, match="invalid literal"):
        ready("x").get_int_reply()


def test_ids_are_fresh_in_every_process() -> None:
    """A forked process goes on from the same memory, and must not go on with the same ids."""
    ids = {Message("a").message_id for _ in range(1000)}
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(theirs, "".join(Message("a").message_id for _ in range(100)).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(pid, 0)
    ids |= {told[each : each + 32] for each in range(0, len(told), 32)} | {
        Message("a").message_id for _ in range(100)
    }
    assert len(ids) == 1200
    assert {len(each) for each in ids} == {32}
