"""What people should see is kept, in order and within bounds, for any number of readers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import ServiceContractError
from paglets.core.messages import Message
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.serialization.values import to_json
from paglets.system.user_info import (
    NOTIFY,
    STREAM,
    USER_INFO,
    NotificationSeverity,
    StreamReply,
    StreamRequest,
    UserNotification,
)
from paglets.system.user_info.agent import UserInfo
from paglets.system.user_info.history import (
    MAX_BYTES,
    MAX_MESSAGE,
    MAX_NOTIFICATIONS,
    MAX_REPLY,
    MAX_TITLE,
    UserInfoState,
    append,
    drain,
)
from tests.host.support import events_of, eventually
from tests.system.support import call, user_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.host import Host


def note(title: str, **fields: Any) -> UserNotification:
    return UserNotification(NotificationSeverity.INFO, title, **fields)


def titles(reply: StreamReply) -> list[str]:
    return [each.title for each in reply.notifications]


def test_it_is_offered_to_the_mesh_and_started_when_it_is_needed() -> None:
    [spec] = UserInfo.RESIDENT_SERVICES
    assert (spec.contract, spec.provider_id) == (USER_INFO, "service.user-info")
    assert (spec.scope, spec.lifecycle) == (ServiceScope.MESH, ResidentLifecycle.LAZY)
    assert USER_INFO.name == "user-info"
    assert USER_INFO.capabilities == ("notify", "stream")


# --- the history -----------------------------------------------------------------------------------------


def test_a_reader_goes_on_from_its_cursor() -> None:
    state = UserInfoState()
    assert [append(state, note(title)) for title in "abc"] == [1, 2, 3]

    first = drain(state, StreamRequest(limit=2))
    assert (titles(first), first.cursor, first.more, first.dropped) == (["a", "b"], 2, True, 0)
    second = drain(state, StreamRequest(first.cursor))
    assert (titles(second), second.cursor, second.more) == (["c"], 3, False)
    third = drain(state, StreamRequest(second.cursor))
    assert (titles(third), third.cursor, third.more) == ([], 3, False)


def test_an_empty_history_has_nothing() -> None:
    assert drain(UserInfoState(), StreamRequest()) == StreamReply()


def test_the_oldest_are_dropped_and_their_number_is_told() -> None:
    state = UserInfoState()
    for number in range(MAX_NOTIFICATIONS + 30):
        append(state, note(str(number)))

    reply = drain(state, StreamRequest(after_cursor=10, limit=1))
    assert (titles(reply), reply.cursor, reply.dropped) == (["30"], 31, 20)
    assert drain(state, StreamRequest(after_cursor=30)).dropped == 0
    assert len(drain(state, StreamRequest(limit=10**6)).notifications) == MAX_REPLY


def test_a_cursor_of_a_history_that_is_lost_begins_anew() -> None:
    state = UserInfoState()
    append(state, note("a"))
    for cursor in (99, -1):
        reply = drain(state, StreamRequest(cursor))
        assert (titles(reply), reply.cursor) == (["a"], 1)


def test_what_is_too_long_is_cut() -> None:
    state = UserInfoState()
    append(state, note("t" * 10_000, message="m" * 10_000, job_id="j" * 10_000, metadata={"k": "v" * 10_000}))
    [kept] = state.notifications
    assert (len(kept.title), len(kept.message), len(kept.job_id)) == (MAX_TITLE, MAX_MESSAGE, MAX_TITLE)
    assert kept.title.endswith("…")
    assert kept.metadata == {"truncated": True}


@given(st.lists(st.integers(0, 5000), max_size=120), st.integers(-1, 130), st.integers(-1, 300))
def test_whatever_comes_the_history_is_bounded_and_its_numbers_fit(
    sizes: list[int], after: int, limit: int
) -> None:
    state = UserInfoState()
    for number, size in enumerate(sizes, 1):
        assert append(state, note(str(number), message="x" * size)) == number
    assert sum(len(to_json(each)) for each in state.notifications) == state.size_bytes <= MAX_BYTES

    reply = drain(state, StreamRequest(after, limit))
    assert titles(reply) == [
        str(number) for number in range(reply.cursor - len(reply.notifications) + 1, reply.cursor + 1)
    ]
    assert reply.more == (reply.cursor < len(sizes))


# --- the paglet ------------------------------------------------------------------------------------------


def test_notifications_survive_parking_and_a_restart(start: Callable[..., Host]) -> None:
    host = start("a")
    service = user_info(host)
    sent = note("Backup", message="done", job_id="j1", metadata={"files": 3}, agent_id="x", host_name="a")
    assert call(service, NOTIFY, sent).cursor == 1

    service.deactivate()
    [kept] = call(service, STREAM).notifications
    assert kept == sent
    assert call(service, NOTIFY, note("again")).cursor == 2
    host.shutdown()

    again = user_info(start("a"))
    assert titles(call(again, STREAM, StreamRequest(after_cursor=1))) == ["again"]


def test_notifications_survive_a_power_cut_soon_after(start: Callable[..., Host]) -> None:
    host = start("a")
    service = user_info(host)
    call(service, NOTIFY, note("seen"))
    eventually(lambda: events_of(host, service.agent_id, "checkpoint"))
    host.stop()

    assert titles(call(user_info(start("a")), STREAM)) == ["seen"]


def test_a_reader_that_waits_gives_way_to_who_notifies_and_then_gets_the_news(
    start: Callable[..., Host],
) -> None:
    service = user_info(start("a"))
    told: list[str] = []
    cursor = 0
    done = threading.Event()

    def follow() -> None:
        nonlocal cursor
        while "news" not in told:
            reply = call(service, STREAM, StreamRequest(cursor, wait_timeout=60.0))
            told.extend(titles(reply))
            cursor = reply.cursor
        done.set()

    reader = threading.Thread(target=follow)
    reader.start()
    began = time.monotonic()
    call(service, NOTIFY, note("news"))
    assert time.monotonic() - began < 5.0
    assert done.wait(10.0)
    reader.join()
    assert told == ["news"]


def test_a_wait_is_bounded_whatever_is_asked_for(start: Callable[..., Host]) -> None:
    service = user_info(start("a"))
    began = time.monotonic()
    assert call(service, STREAM, StreamRequest(wait_timeout=1e9)).notifications == []
    assert 1.0 < time.monotonic() - began < 10.0


def test_what_is_no_notification_is_refused(start: Callable[..., Host]) -> None:
    service = user_info(start("a"))
    with pytest.raises(ServiceContractError, match="severity"):
        service.send(Message("notify", {"severity": "loud", "title": "x"}), timeout=10.0)
    assert call(service, STREAM).cursor == 0
