"""What a program does with the hosts that it embeds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from paglets.core.agent import ACTIVE, INACTIVE
from paglets.core.errors import HostError, InvalidAgentError
from paglets.core.messages import Message
from paglets.remote.proxy import PagletProxy
from paglets.remote.references import PagletProxyRef
from paglets.runtime.host import Host
from paglets.runtime.launchers.spawn_launcher import SpawnLauncher
from tests.host.agents import Recorder, Server
from tests.host.agents_with_states import Observer
from tests.host.support import ask, eventually, start_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_resources_that_the_program_holds_for_a_paglet(a: Host) -> None:
    closed: list[str] = []
    for leave in ("deactivate", "dispose", "dispatch"):
        proxy = a.create(Recorder)
        a.resources_for(proxy.agent_id).register("r", leave, closed.append)
        _ = proxy.dispatch("b") if leave == "dispatch" else getattr(proxy, leave)()
        eventually(lambda leave=leave: leave in closed)
    assert closed == ["deactivate", "dispose", "dispatch"]


def test_no_resources_are_held_for_a_paglet_that_is_not_here(a: Host) -> None:
    proxy = a.create(Recorder)
    kept = a.resources_for(proxy.agent_id)
    assert a.resources_for(proxy.agent_id) is kept
    proxy.dispatch("b")
    for stranger in ("nobody", proxy.agent_id):
        with pytest.raises(InvalidAgentError, match=stranger):
            a.resources_for(stranger)


def test_handles_as_values(a: Host) -> None:
    proxy = a.create(Recorder)
    ref = PagletProxyRef.from_proxy(proxy)
    assert ask(ref.resolve(a), "add") == 1
    assert ask(ref.resolve(a.client), "add") == 2
    assert ask(PagletProxy.from_wire(proxy.to_wire(), a.client), "add") == 3
    loose = PagletProxy.from_wire(proxy.to_wire())
    assert loose == proxy
    with pytest.raises(HostError, match="client"):
        loose.send(Message("add"))
    with pytest.raises(HostError, match="context or a client"):
        ref.resolve()
    assert proxy.get_agent_id() == proxy.agent_id
    assert proxy.get_address() == a.address
    assert proxy.get_agent_class_name() == "tests.host.agents:Recorder"


def test_lists_of_handles(a: Host) -> None:
    active, parked = a.create(Recorder), a.create(Recorder)
    parked.deactivate()
    assert active in a.get_proxies()
    assert parked in a.get_proxies(INACTIVE)
    assert {active, parked} <= set(a.get_proxies(ACTIVE | INACTIVE))
    with pytest.raises(ValueError, match="ACTIVE"):
        a.get_proxies(7)


@pytest.mark.parametrize("nobody", ["", "x" * 1000, "a b", "\ud800", "a\0b", "nobody"], ids=ascii)
def test_an_id_that_nobody_has_or_can_have(a: Host, nobody: str) -> None:
    assert a.get_proxy(nobody, include_inactive=True) is None
    for ask_for in (a.work_dir_for, a.persistent_storage_for, a.mailbox_status, a.wait_message, a.activate):
        with pytest.raises(InvalidAgentError):
            ask_for(nobody)


def test_delivering_by_id(a: Host, b: Host) -> None:
    proxy = a.create(Server)
    assert a.deliver_message(proxy.agent_id, Message("value", arg=3)) == 3
    proxy.dispatch("b")
    assert a.deliver_message(proxy.agent_id, Message("where"))[0] == "b"
    with pytest.raises(InvalidAgentError):
        a.deliver_message("nobody", Message("value"))


def test_paglets_see_the_programs_surroundings(
    a: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEN_BY_CHILDREN", "yes")
    monkeypatch.chdir(tmp_path)
    proxy = a.create(Observer)
    assert ask(proxy, "surroundings") == ["yes", str(tmp_path)]
    assert ask(proxy, "surroundings")[1] != os.path.sep


def test_hosts_that_spawn_instead_of_forking(start: Callable[..., Host]) -> None:
    first = start("s1", launcher=SpawnLauncher())
    second = start("s2", launcher=SpawnLauncher(), peers=[first.address])
    proxy = first.create(Recorder)
    assert ask(proxy, "log") == ["creation@s1", "run@s1"]
    proxy.dispatch(second.address)
    assert ask(proxy, "add") == 1
    proxy.deactivate()
    assert ask(proxy, "add") == 2
    with pytest.raises(Exception, match="ended"):
        second.create(Server).send(Message("die"))


def test_handles_from_before_the_start(tmp_path: Path) -> None:
    first = start_host("h", tmp_path)
    parked, awake = first.create(Recorder), first.create(Recorder)
    parked.deactivate()
    first.shutdown()
    second = Host("h", mesh_dir=tmp_path / "mesh", persistence_dir=tmp_path / "h")
    try:
        handles = {proxy.agent_id: proxy for proxy in second.get_proxies(ACTIVE | INACTIVE)}
        assert handles.keys() == {parked.agent_id, awake.agent_id}
        early = second.get_proxy(parked.agent_id, include_inactive=True)
        assert early is not None
        with pytest.raises(HostError, match="start_background"):
            early.info()
        second.start_background()
        assert ask(early, "add") == 1
        assert early.host_url == second.address
        assert early.send_future(Message("add")).get_reply(10.0) == 2
        assert handles[awake.agent_id].deactivate().host_url == second.address
    finally:
        second.stop()


def test_the_address_stays_known(start: Callable[..., Host]) -> None:
    host = start("h")
    address = host.address
    host.stop()
    assert host.address == address


def test_there_is_no_address_before_the_start(tmp_path: Path) -> None:
    host = Host("h", mesh_dir=tmp_path / "mesh")
    with pytest.raises(HostError, match="start_background"):
        _ = host.address
    host.stop()
    with pytest.raises(HostError, match="has stopped"):
        _ = host.address
