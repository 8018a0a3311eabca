from __future__ import annotations

import os
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    PagletCrashedError,
    SerializationError,
    TransferError,
)
from tests.host.agents import (
    BadBirth,
    BadInit,
    Creator,
    MoreNotes,
    NoState,
    Notes,
    OldStyle,
    Outer,
    Plain,
    Recorder,
    Stateless,
    Strict,
    Undecorated,
)
from tests.host.support import ask, events_of

if TYPE_CHECKING:
    from paglets.runtime.host import Host


def test_a_paglet_lives_in_a_process_of_its_own_with_hook_and_run_done(a: Host) -> None:
    proxy = a.create(Recorder, Notes(count=3), init={"x": [1, 2.5, None, "ä"]})
    assert proxy.host_url == a.address
    assert ask(proxy, "log") == ["creation@a", "run@a"]
    name, address, pid = ask(proxy, "where")
    assert (name, address) == ("a", a.address)
    assert pid != os.getpid()
    assert proxy.info()["pid"] == pid
    state = a.get_state(proxy.agent_id, Notes)
    assert state == Notes(["creation@a", "run@a"], 3, {"x": [1, 2.5, None, "ä"]})


def test_create_without_a_state_takes_the_defaults(a: Host) -> None:
    proxy = a.create(Recorder)
    assert a.get_state(proxy.agent_id, Notes).count == 0


def test_create_with_an_id(a: Host) -> None:
    assert a.create(Recorder, agent_id="it.has:a-name_1").agent_id == "it.has:a-name_1"
    assert a.get_proxy("it.has:a-name_1") is not None
    with pytest.raises(HostError, match=r"it\.has:a-name_1"):
        a.create(Recorder, agent_id="it.has:a-name_1")
    a.dispose("it.has:a-name_1")
    assert a.get_proxy("it.has:a-name_1", include_inactive=True) is None
    assert ask(a.create(Recorder, agent_id="it.has:a-name_1"), "log") == ["creation@a", "run@a"]


@pytest.mark.parametrize("bad", ["with space", "x" * 129, "a/b", "ä", "\n", "a\0b"])
def test_ids_that_are_none(a: Host, bad: str) -> None:
    with pytest.raises(HostError, match="no paglet id"):
        a.create(Recorder, agent_id=bad)


def test_a_parked_paglet_keeps_its_id(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    with pytest.raises(HostError, match="already"):
        a.create(Recorder, agent_id=proxy.agent_id)


def test_on_the_other_host(a: Host, b: Host) -> None:
    proxy = a.create_remote("b", Recorder, Notes(count=2), init=[1], agent_id="made-from-afar")
    assert (proxy.host_url, proxy.agent_id) == (b.address, "made-from-afar")
    assert ask(proxy, "log") == ["creation@b", "run@b"]
    assert a.create_remote(b.address, Recorder).host_url == b.address
    with pytest.raises(HostError, match="made-from-afar"):
        a.create_remote("b", Recorder, agent_id="made-from-afar")
    assert a.create_remote("a", Recorder).host_url == a.address


@pytest.mark.parametrize("target", ["nowhere", "https://127.0.0.1:9"])
def test_on_a_host_that_is_not_there(a: Host, target: str) -> None:
    with pytest.raises((HostError, TransferError), match=target):
        a.create_remote(target, Recorder)


def test_from_a_paglet(a: Host, b: Host) -> None:
    creator = a.create(Creator)
    here, log = ask(creator, "create", count=4, init="hello")
    assert here["host_url"] == a.address
    assert log == ["creation@a", "run@a"]
    there, log = ask(creator, "create", on="b")
    assert there["host_url"] == b.address
    assert log == ["creation@b", "run@b"]
    there, log = ask(creator, "create", on=b.address)
    assert there["host_url"] == b.address


def test_nested_classes(a: Host) -> None:
    assert ask(a.create(Outer.Nested, Outer.Inner(5)), "get") == 5


def test_a_state_of_a_subclass(a: Host) -> None:
    proxy = a.create(Recorder, MoreNotes(extra=9))
    proxy.deactivate()
    proxy.activate()
    assert a.get_state(proxy.agent_id, MoreNotes).extra == 9
    assert proxy.info()["state_class_name"] == "tests.host.agents:MoreNotes"


# --- what cannot be created -------------------------------------------------------------------------------


def test_no_paglet_class(a: Host) -> None:
    with pytest.raises(InvalidAgentError, match="no subclass of Paglet"):
        a.create(cast("type[Paglet[Any]]", NoState))


def test_no_state_or_one_that_is_no_dataclass(a: Host) -> None:
    with pytest.raises(HostError, match="State"):
        a.create(Stateless)
    with pytest.raises(HostError, match="dataclass"):
        a.create(Undecorated)


def test_a_state_of_another_class(a: Host) -> None:
    with pytest.raises(HostError, match="Notes"):
        a.create(Recorder, Strict("a", 1))


def test_a_state_that_needs_values(a: Host) -> None:
    with pytest.raises(HostError, match="needs a state"):
        a.create(Plain)
    assert a.get_state(a.create(Plain, Strict("x", 1)).agent_id, Strict) == Strict("x", 1)


def test_local_classes(a: Host) -> None:
    class Local(Recorder):
        pass

    with pytest.raises(SerializationError, match="Local"):
        a.create(Local)


def test_classes_of_the_main_script(a: Host) -> None:
    main: Any = types.ModuleType("__main__")
    cls = type("Script", (Recorder,), {"__module__": "__main__"})
    main.Script = cls
    kept, sys.modules["__main__"] = sys.modules["__main__"], main
    try:
        with pytest.raises(InvalidAgentError, match="main script"):
            a.create(cls)
    finally:
        sys.modules["__main__"] = kept


def test_a_module_that_the_child_cannot_import(a: Host) -> None:
    module: Any = types.ModuleType("made_up_module")
    cls = type("Ghost", (Recorder,), {"__module__": "made_up_module"})
    module.Ghost = cls
    sys.modules["made_up_module"] = module
    try:
        with pytest.raises(InvalidAgentError, match="made_up_module"):
            a.create(cls)
    finally:
        del sys.modules["made_up_module"]


def test_constructors_that_do_not_work(a: Host) -> None:
    before = a.health()["active_count"]
    with pytest.raises(HostError, match="RuntimeError: cannot be made"):
        a.create(BadInit)
    with pytest.raises(InvalidAgentError, match="agent_id"):
        a.create(OldStyle)
    assert a.health()["active_count"] == before


@dataclass
class Unsendable(PagletState):
    """A state with a field that no paglet can carry."""

    thing: Any = None


class Carrier(Paglet[Unsendable]):
    """Has an unsendable state."""

    State = Unsendable


def test_a_state_that_cannot_be_carried(a: Host) -> None:
    with pytest.raises(SerializationError, match="thing"):
        a.create(Carrier, Unsendable(object()))
    with pytest.raises(SerializationError):
        a.create_remote("b", Carrier, Unsendable(object()))
    with pytest.raises(SerializationError):
        a.create(Recorder, init=object())


# --- creation hooks that fail -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("init", "error", "text"),
    [
        ("value", HostError, "ValueError: no good"),
        ("exit", PagletCrashedError, "3"),
        ("die", PagletCrashedError, "4"),
        ("bad-state", SerializationError, "init"),
    ],
)
def test_a_creation_hook_that_fails_leaves_nothing(
    a: Host, init: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        a.create(BadBirth, init=init, agent_id=f"ill-born-{init}")
    assert a.get_proxy(f"ill-born-{init}", include_inactive=True) is None
    assert f"ill-born-{init}" not in {each["agent_id"] for each in a.list_agents(inactive=True)}
    assert not events_of(a, f"ill-born-{init}", "create")
    a.create(Recorder, agent_id=f"ill-born-{init}")


def test_callers_from_afar_hear_of_a_failed_creation(a: Host, b: Host) -> None:
    with pytest.raises(HostError, match="ValueError: no good"):
        a.create_remote("b", BadBirth, init="value", agent_id="ill-born-there")
    assert b.get_proxy("ill-born-there", include_inactive=True) is None


def test_the_durable_state_is_that_after_the_hook(a: Host) -> None:
    proxy = a.create(Recorder, init=1)
    create = events_of(a, proxy.agent_id, "create")
    assert [event.class_name for event in create] == ["tests.host.agents:Recorder"]
