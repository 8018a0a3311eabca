from __future__ import annotations

import threading
from typing import Any

import pytest

from paglets.core.context_events import ContextEvent, ContextEventLog
from paglets.core.errors import SerializationError


def emit(log: ContextEventLog, kind: str = "create", **fields: Any) -> ContextEvent:
    return log.emit(kind=kind, host_name="h", host_address="u", **fields)


def test_ids_start_at_one_and_grow_by_one():
    log = ContextEventLog()
    assert [emit(log).event_id for _ in range(3)] == [1, 2, 3]


def test_events_since_pages_through_the_log():
    log = ContextEventLog(capacity=10)
    for _ in range(25):
        emit(log)
    ids = [event.event_id for event in log.events_since()]
    assert ids == list(range(16, 26))
    assert [event.event_id for event in log.events_since(20, limit=2)] == [21, 22]
    assert log.events_since(25) == []
    assert log.events_since(99) == []
    assert log.events_since(limit=0) == []
    assert ContextEventLog().events_since() == []


def test_listeners_hear_each_event_once_until_removed():
    log, heard = ContextEventLog(), list[ContextEvent]()
    log.add_listener(heard.append)
    first = emit(log, agent_id="a", data={"x": 1})
    log.remove_listener(heard.append)
    log.remove_listener(heard.append)
    emit(log)
    assert heard == [first]


def test_a_listener_that_raises_is_reported_and_stops_nobody():
    log, heard = ContextEventLog(), list[ContextEvent]()

    def broken(event: ContextEvent) -> None:
        raise ValueError("oops")

    log.add_listener(broken)
    log.add_listener(heard.append)
    event = emit(log)
    assert event in heard
    [failed] = [each for each in heard if each.kind == "event-listener-failed"]
    assert failed.data["event_id"] == event.event_id
    assert "broken" in failed.data["listener"]
    assert failed.error == "ValueError: oops"
    assert [each.kind for each in log.events_since()] == ["create", "event-listener-failed"]


def test_two_broken_listeners_do_not_report_each_other_for_ever():
    log = ContextEventLog()

    def first(event: ContextEvent) -> None:
        raise ValueError("1")

    def second(event: ContextEvent) -> None:
        raise ValueError("2")

    log.add_listener(first)
    log.add_listener(second)
    emit(log)
    assert [event.error for event in log.events_since()] == [None, "ValueError: 1", "ValueError: 2"]


def test_many_threads_may_emit():
    log = ContextEventLog(capacity=5000)
    threads = [threading.Thread(target=lambda: [emit(log) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.event_id for event in log.events_since(limit=5000)] == list(range(1, 2001))


def test_an_event_crosses_the_wire():
    event = emit(ContextEventLog(), "message-failed", agent_id="a", message_id="m", data={"n": 1}, error="x")
    assert ContextEvent.from_wire(event.to_wire()) == event
    with pytest.raises(SerializationError, match="event_id"):
        ContextEvent.from_wire({"kind": "create"})


def test_a_log_without_room_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        ContextEventLog(capacity=0)
