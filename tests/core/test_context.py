from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from paglets.core.agent import ACTIVE, INACTIVE, Paglet, PagletContext
from paglets.core.errors import HostError
from paglets.core.messages import Message, ReplySet
from paglets.core.resources import ResourceRegistry


@dataclass
class Ref:
    """What a context looks at of a ``HostRef``."""

    name: str
    url: str
    online: bool = True


@dataclass
class Handle:
    """A proxy that tells what was sent through it."""

    host_url: str
    agent_id: str

    def send(self, message: Message) -> Any:
        return (self.host_url, self.agent_id, message.kind)


@dataclass
class RecordingHost:
    """A host in memory: answers from its fields, and remembers what it was asked to do."""

    folder: Path = Path("unused")
    name: str = "here"
    address: str = "https://here:1"
    asked: list[Any] = field(default_factory=list[Any])
    hosts: list[Ref] = field(
        default_factory=lambda: [Ref("here", "https://here:1"), Ref("there", "https://there:2")]
    )
    local: dict[str, Handle] = field(default_factory=dict[str, Handle])
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    registry: ResourceRegistry = field(default_factory=ResourceRegistry)

    def __getattr__(self, name: str) -> Any:
        def record(*args: Any, **kwargs: Any) -> Any:
            self.asked.append((name, args, kwargs))
            return Handle("recorded", name)

        return record

    def get_proxy(self, agent_id: str, *, include_inactive: bool = False) -> Any:
        return self.local.get(agent_id) if include_inactive else None

    def get_property(self, key: str, default: Any = None) -> Any:
        return self.properties.get(key, default)

    def set_property(self, key: str, value: Any) -> None:
        self.properties[key] = value

    def list_hosts(self, *, online_only: bool = False, include_self: bool = True) -> Any:
        wanted = [ref for ref in self.hosts if include_self or ref.name != self.name]
        return [ref for ref in wanted if ref.online or not online_only]

    def proxy_for(self, host_url: str, agent_id: str) -> Any:
        return Handle(host_url, agent_id)

    def resources_for(self, agent_id: str) -> ResourceRegistry:
        return self.registry

    def work_dir_for(self, agent_id: str) -> Path:
        return self.folder / agent_id

    def multicast_message(self, kind: str, args: Any = None, *, exclude: str | None = None) -> ReplySet:
        self.asked.append(("multicast", kind, args, exclude))
        return ReplySet()

    def wait_message(self, agent_id: str, timeout: float | None = None) -> bool:
        self.asked.append(("wait", agent_id, timeout))
        return True


@dataclass
class Nothing:
    pass


class Walker(Paglet[Nothing]):
    State = Nothing


@pytest.fixture
def host(tmp_path: Path) -> RecordingHost:
    return RecordingHost(tmp_path)


@pytest.fixture
def walker(host: Any) -> Walker:
    paglet = Walker(agent_id="w")
    paglet.attach(PagletContext(host, "w"))
    return paglet


def test_the_context_shows_its_host(walker: Walker, host: RecordingHost):
    context = walker.context
    assert (context.name, context.address, context.agent_id) == ("here", "https://here:1", "w")
    assert context.host is host
    walker.detach()
    with pytest.raises(HostError):
        _ = walker.context


def test_local_proxies_are_found_active_or_not(walker: Walker, host: RecordingHost):
    host.local["x"] = Handle("https://here:1", "x")
    for url in (None, "here", "https://here:1/"):
        assert walker.context.get_proxy("x", url) == host.local["x"]
    assert walker.context.get_proxy("unknown") is None
    assert walker.context.get_proxy("y", "there") == Handle("https://there:2", "y")
    assert walker.context.get_proxy("y", "https://far:3") == Handle("https://far:3", "y")
    walker.context.get_proxies(ACTIVE | INACTIVE)
    assert host.asked == [("get_proxies", (3,), {})]


def test_properties_are_the_hosts(walker: Walker):
    walker.context.set_property("k", 1)
    assert walker.context.get_property("k") == 1
    assert walker.context.get_property("none", 5) == 5


def test_paglets_are_created_here_or_there(walker: Walker, host: RecordingHost):
    walker.context.create_paglet(Walker, init=1)
    walker.context.create_paglet(Walker, host_url="here")
    walker.context.create_paglet(Walker, Nothing(), host_url="there")
    assert [call[0] for call in host.asked] == ["create", "create", "create_remote"]
    assert host.asked[2][1] == ("there", Walker, Nothing())


def test_moves_name_the_paglet_and_the_target(walker: Walker, host: RecordingHost):
    walker.dispatch("https://far:3")
    walker.dispatch_to("there")
    walker.clone()
    walker.clone_to("https://far:3")
    walker.deactivate(reason="night", metadata={"a": 1})
    walker.checkpoint()
    request = host.asked[4][1][1]
    assert host.asked == [
        ("dispatch", ("w", "https://far:3"), {}),
        ("dispatch", ("w", "https://there:2"), {}),
        ("clone", ("w",), {"target": None}),
        ("clone", ("w",), {"target": "https://far:3"}),
        ("deactivate", ("w", request), {}),
        ("checkpoint", ("w",), {}),
    ]
    assert (request.reason, request.source, request.metadata) == ("night", "self", {"a": 1})


def test_an_unknown_host_is_named_with_those_that_are_known(walker: Walker):
    with pytest.raises(HostError, match=r"'nowhere'.*here, there"):
        walker.dispatch_to("nowhere")


def test_hosts_can_be_looked_up_and_waited_for(walker: Walker, host: RecordingHost):
    context = walker.context
    host.hosts[1].online = False
    assert [ref.name for ref in context.available_hosts()] == ["here"]
    assert [ref.name for ref in context.available_hosts(online_only=False, include_self=False)] == ["there"]
    status = context.host_status("https://there:2/")
    assert status is not None
    assert status.name == "there"
    assert context.host_status("nowhere") is None
    assert context.is_host_online("here")
    assert not context.is_host_online("there")
    assert context.wait_for_host("here", timeout=0).name == "here"
    with pytest.raises(HostError, match="does not answer"):
        context.wait_for_host("there", timeout=0.02, interval=0.01)
    with pytest.raises(HostError, match="not known"):
        context.wait_for_host("nowhere", timeout=0)


def test_messages_go_to_the_host_that_is_named(walker: Walker):
    assert walker.send("x", Message("hi")) == ("https://here:1", "x", "hi")
    assert walker.send("x", Message("hi"), host_url="there") == ("https://there:2", "x", "hi")


def test_a_multicast_takes_a_kind_or_a_message(walker: Walker, host: RecordingHost):
    walker.multicast("hi", {"a": 1})
    walker.multicast(Message("ho", {"b": 2}), include_self=False)
    assert host.asked == [("multicast", "hi", {"a": 1}, None), ("multicast", "ho", {"b": 2}, "w")]
    with pytest.raises(ValueError, match="named arguments"):
        walker.multicast(Message("ho", arg=1))


def test_mailbox_waiting_goes_to_the_host(walker: Walker, host: RecordingHost):
    assert walker.wait_message(1.5)
    walker.notify_message()
    walker.notify_all_messages()
    assert host.asked == [
        ("wait", "w", 1.5),
        ("notify_message", ("w",), {}),
        ("notify_all_messages", ("w",), {}),
    ]


def test_a_paglet_has_a_directory_and_storage_of_its_own(walker: Walker, host: RecordingHost, tmp_path: Path):
    assert not walker.work_dir(create=False).exists()
    assert walker.work_dir() == tmp_path / "w"
    assert walker.work_dir().is_dir()
    assert walker.context.work_dir(agent_id="v") == tmp_path / "v"
    walker.persistent_storage(quota_bytes=5)
    assert host.asked == [("persistent_storage_for", ("w",), {"quota_bytes": 5})]
    assert walker.context.resources() is host.registry


def test_a_context_of_nobody_must_be_told_who(host: Any):
    context = PagletContext(host)
    for call in (context.work_dir, context.resources, context.persistent_storage, context.checkpoint):
        with pytest.raises(HostError, match="agent_id="):
            call()
    assert context.resources("x") is host.registry
