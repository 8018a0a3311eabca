"""Fan-out and cursor drains: with a bare stand-in for the paglet, and on real hosts."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import InvalidAgentError
from paglets.patterns.coordination import (
    ChildRoleState,
    CursorDrainMixin,
    MeshFanoutMixin,
    MeshFanoutState,
)
from paglets.remote.mesh import HostRef
from paglets.remote.references import PagletProxyRef
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire
from tests.host.support import ask, eventually
from tests.patterns.agents_with_children import Surveyor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from paglets.runtime.host import Host


def host_ref(name: str) -> HostRef:
    return HostRef(
        name,
        f"https://{name}:1",
        code_version="1",
        online=True,
        last_seen=0.0,
        active_count=0,
        inactive_count=0,
    )


class FakeProxy:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.disposed = 0

    def dispose(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.disposed += 1


class FakeContext:
    agent_id = "me"
    name = "here"
    address = "https://here:1"

    def __init__(self) -> None:
        self.hosts = [host_ref("here"), host_ref("alpha"), host_ref("beta")]
        self.proxies: dict[str, FakeProxy] = {}

    def available_hosts(self, *, include_self: bool = True) -> list[HostRef]:
        return self.hosts if include_self else self.hosts[1:]

    def get_proxy(self, agent_id: str, host_url: str | None = None) -> FakeProxy | None:
        assert host_url
        return self.proxies.get(agent_id)


class Bare:
    """All that the mixins may need of their owner, and nothing else."""

    def __init__(self, state: Any, context: Any = None) -> None:
        self.state = state
        self.context = context
        self.notified = 0
        self.waited: list[float | None] = []
        self.lock = threading.RLock()

    @contextlib.contextmanager
    def locked_state(self) -> Generator[Any]:
        with self.lock:
            yield self.state

    def notify_all_state_changed(self) -> None:
        self.notified += 1

    def wait_state(self, ready: Callable[[], object], timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        return bool(ready())


class Parent(MeshFanoutMixin, Bare):
    pass


@pytest.fixture
def parent() -> Parent:
    return Parent(MeshFanoutState(), FakeContext())


def test_hosts_are_chosen_by_name_or_url_in_order(parent: Parent) -> None:
    assert [each.name for each in parent.fanout_available_hosts()] == ["here", "alpha", "beta"]
    assert [each.name for each in parent.fanout_available_hosts(include_self=False)] == ["alpha", "beta"]
    assert [each.name for each in parent.fanout_select_hosts([])] == ["here", "alpha", "beta"]
    assert [each.name for each in parent.fanout_select_hosts((), include_self=False)] == ["alpha", "beta"]
    chosen = parent.fanout_select_hosts(["beta", "https://alpha:1/", "gone", "beta", "alpha"])
    assert [each.name for each in chosen] == ["beta", "alpha"]
    assert parent.state.errors == {"gone": "this host is unknown or offline"}


def test_the_state_is_a_childs_only_while_it_is_cloned(parent: Parent) -> None:
    before = dataclass_to_wire(parent.state)
    parent.fanout_prepare_clone(host_ref("alpha"))
    child = dataclass_from_wire(MeshFanoutState, dataclass_to_wire(parent.state))
    parent.fanout_finish_clone_prepare()
    assert (child.role, child.parent_host_url, child.parent_agent_id) == ("child", "https://here:1", "me")
    assert (child.target_host_name, child.target_host_url) == ("alpha", "https://alpha:1")
    assert parent.state.pending_hosts == ["alpha"]
    parent.fanout_record_done("alpha")
    parent.state.done_hosts.clear()
    parent.state.children_of = ""
    assert dataclass_to_wire(parent.state) == before


def test_a_child_may_have_children_of_its_own() -> None:
    state = MeshFanoutState("child", "https://top:1", "top", "here", "https://here:1", children_of="top")
    state.child_proxies["sibling"] = PagletProxyRef("https://sibling:1", "s")
    child = Parent(state, FakeContext())
    child.fanout_prepare_clone(host_ref("alpha"))
    assert (state.parent_agent_id, state.child_proxies) == ("me", {})
    child.fanout_finish_clone_prepare()
    assert (state.role, state.parent_agent_id, state.target_host_name) == ("child", "top", "here")


def test_a_parent_that_came_back_as_its_own_child_is_a_parent_again() -> None:
    parent = Parent(
        MeshFanoutState("child", "https://here:1", "me", "alpha", "https://alpha:1"), FakeContext()
    )
    parent.fanout_prepare_clone(host_ref("beta"))
    parent.fanout_finish_clone_prepare()
    assert parent.state.role == "parent"


def test_each_host_ends_done_or_with_an_error(parent: Parent) -> None:
    for name in ("alpha", "beta", "here"):
        parent.fanout_prepare_clone(host_ref(name))
        parent.fanout_prepare_clone(host_ref(name))
        parent.fanout_finish_clone_prepare()
    assert parent.state.pending_hosts == ["alpha", "beta", "here"]
    parent.fanout_record_done("alpha")
    parent.fanout_record_done("alpha")
    parent.fanout_record_error("beta", OSError("broken"))
    assert parent.fanout_expire_pending("too late") == ["here"]
    assert parent.fanout_expire_pending("too late") == []
    assert parent.state.pending_hosts == []
    assert parent.state.done_hosts == ["alpha"]
    assert parent.state.errors == {"beta": "OSError: broken", "here": "too late"}
    assert parent.notified


def test_waiting_looks_at_the_state(parent: Parent) -> None:
    parent.fanout_reset(timeout=5.0)
    assert parent.fanout_wait_for(lambda state: not state.pending_hosts, wait_timeout=0.0)


def test_waiting_has_two_bounds(parent: Parent) -> None:
    assert not parent.fanout_wait_for(lambda: False, wait_timeout=5.0)
    parent.fanout_reset(timeout=1.0)
    assert parent.state.deadline == pytest.approx(time.monotonic() + 1.0, abs=0.5)
    assert parent.fanout_wait_for(lambda: True, wait_timeout=5.0)
    parent.fanout_reset(timeout=-1.0)
    parent.fanout_wait_for(lambda: True, wait_timeout=5.0)
    assert parent.waited[0] == 5.0
    assert parent.waited[1] is not None
    assert parent.waited[1] <= 1.0
    assert parent.waited[2] == 0.0


def test_children_are_disposed_of_and_failures_are_kept(parent: Parent) -> None:
    proxies = {
        "alpha": FakeProxy(),
        "beta": FakeProxy(OSError("no")),
        "gone": FakeProxy(InvalidAgentError("x")),
    }
    parent.context.proxies = proxies
    for name in (*proxies, "never"):
        parent.fanout_record_child_proxy(name, PagletProxyRef(f"https://{name}:1", name))
    parent.fanout_cleanup_children()
    assert proxies["alpha"].disposed == 1
    assert list(parent.state.child_proxies) == ["beta"]
    assert parent.state.cleanup_errors == {"beta": "OSError: no"}
    proxies["beta"].failure = None
    parent.fanout_cleanup_children()
    assert (parent.state.child_proxies, parent.state.cleanup_errors) == ({}, {})


def test_siblings_are_left_alone() -> None:
    state = MeshFanoutState(role="child", parent_agent_id="top", children_of="top")
    state.child_proxies["alpha"] = PagletProxyRef("https://alpha:1", "sibling")
    child = Parent(state, FakeContext())
    child.context.proxies["sibling"] = sibling = FakeProxy()
    child.fanout_cleanup_children()
    assert not sibling.disposed


def test_a_reset_forgets_everything(parent: Parent) -> None:
    parent.fanout_prepare_clone(host_ref("alpha"))
    parent.fanout_finish_clone_prepare()
    parent.fanout_record_child_proxy("alpha", PagletProxyRef("https://alpha:1", "x"))
    parent.fanout_record_done("alpha")
    parent.fanout_record_error("beta", "e")
    parent.fanout_reset(timeout=1.0)
    parent.state.deadline = 0.0
    assert parent.state == MeshFanoutState()


def test_the_states_have_the_defaults_of_a_parent() -> None:
    assert ChildRoleState() == ChildRoleState("parent", "", "", "", "")
    state = MeshFanoutState()
    state.child_proxies["a"] = PagletProxyRef("https://a:1", "x")
    assert dataclass_from_wire(MeshFanoutState, dataclass_to_wire(state)) == state


def test_a_survey_of_the_mesh(a: Host, b: Host) -> None:
    proxy = a.create(Surveyor)
    pending = ask(proxy, "survey", hosts=["a", "b", "nowhere"])
    assert set(pending) <= {"a", "b"}
    report = eventually(lambda: (said := ask(proxy, "report"))["done"] and said)
    assert report["found"] == {"a": "child@a", "b": "child@b"}
    assert list(report["errors"]) == ["nowhere"]
    children = ask(proxy, "children")
    assert {name: ref["host_url"] for name, ref in children.items()} == {"a": a.address, "b": b.address}
    assert b.get_proxy(children["b"]["agent_id"]) is not None
    b.proxy_for(b.address, children["b"]["agent_id"]).dispose()
    assert ask(proxy, "end") == [{}, {}, "parent"]
    assert a.get_proxy(children["a"]["agent_id"], include_inactive=True) is None
    assert a.get_proxy(proxy.agent_id) == proxy


# --- cursor drains ------------------------------------------------------------------------------------------


@dataclass
class Log:
    events: list[Any] = field(default_factory=list[Any])
    next_cursor: int = 1


class Feed(CursorDrainMixin, Bare):
    pass


@dataclass(frozen=True)
class Numbered:
    text: str
    cursor: int = 0


def test_a_reader_gets_everything_once_in_pieces() -> None:
    feed = Feed(Log())
    assert feed.cursor_append_events([]) == 0
    assert feed.cursor_append_events("abc") == 3
    assert feed.cursor_append_events(["d"]) == 4
    assert feed.notified == 3
    assert feed.cursor_drain_events(after_cursor=0, limit=3) == (["a", "b", "c"], 3, True)
    assert feed.cursor_drain_events(after_cursor=3, limit=3) == (["d"], 4, False)
    assert feed.cursor_drain_events(after_cursor=4, limit=3) == ([], 4, False)
    assert feed.cursor_drain_events(after_cursor=9, limit=3) == ([], 9, False)
    assert feed.cursor_drain_events(after_cursor=0, limit=0) == ([], 0, True)
    assert feed.cursor_drain_events(after_cursor=-5, limit=1) == (["a"], 1, True)


def test_events_that_have_a_place_for_it_are_told_their_number() -> None:
    feed = Feed(Log())
    feed.cursor_append_events([Numbered("x"), {"cursor": None, "t": 1}, {"t": 2}])
    assert feed.state.events == [Numbered("x", 1), {"cursor": 2, "t": 1}, {"t": 2}]


@given(st.data())
def test_whatever_happens_no_reader_misses_or_repeats_an_event(data: st.DataObject) -> None:
    feed = Feed(Log())
    appended = 0
    readers: list[list[int]] = [[], []]
    cursors = [0, 0]
    for step in data.draw(st.lists(st.sampled_from(["append", "read", "discard"]), max_size=20)):
        if step == "append":
            count = data.draw(st.integers(0, 5))
            assert feed.cursor_append_events(range(appended, appended + count)) == appended + count
            appended += count
        elif step == "discard":
            feed.cursor_discard_events(up_to=min(cursors))
        else:
            who = data.draw(st.sampled_from([0, 1]))
            events, cursors[who], more = feed.cursor_drain_events(
                after_cursor=cursors[who], limit=data.draw(st.integers(0, 4))
            )
            readers[who] += events
            assert more == (len(readers[who]) < appended)
    for events, cursor in zip(readers, cursors, strict=True):
        assert events == list(range(cursor))
