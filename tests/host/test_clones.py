from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, LifecycleError, TransferError
from paglets.core.messages import Message
from tests.host.agents import Mover, Notes, Picky, Recorder
from tests.host.agents_with_files import HasFiles
from tests.host.support import ask, events_of, eventually

if TYPE_CHECKING:
    from paglets.runtime.host import Host


def test_beside_itself(a: Host) -> None:
    proxy = a.create(Recorder, Notes(count=2))
    ask(proxy, "log")
    clone = a.clone(proxy.agent_id)
    assert clone.host_url == a.address
    assert clone.agent_id != proxy.agent_id
    assert ask(clone, "log") == ["creation@a", "run@a", "cloning@a", "clone@a:False:True", "run@a"]
    assert ask(proxy, "peek") == ["creation@a", "run@a", "cloning@a", "cloned@a"]
    assert ask(clone, "add") == 3
    assert ask(proxy, "add", by=0) == 2
    assert ask(clone, "where")[2] != ask(proxy, "where")[2]
    assert [each.kind for each in events_of(a, clone.agent_id)][:1] == ["clone"]


def test_onto_another_host(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    ask(proxy, "log")
    clone = proxy.clone("b")
    assert clone.host_url == b.address
    assert proxy.host_url == a.address
    assert ask(clone, "log") == ["creation@a", "run@a", "cloning@a", "clone@b:False:True", "run@b"]
    assert ask(proxy, "peek") == ["creation@a", "run@a", "cloning@a", "cloned@a"]
    clone.dispatch("a")
    assert ask(clone, "add") == 1


@pytest.mark.parametrize("to", [None, "b"])
def test_from_a_handler(a: Host, b: Host, to: str | None) -> None:
    proxy = a.create(Mover)
    ask(proxy, "log")
    made = ask(proxy, "twin", to=to)
    assert made["host_url"] == (b if to else a).address
    assert made["agent_id"] != proxy.agent_id
    assert ask(proxy, "peek")[-2:] == ["cloning@a", "cloned@a"]
    assert ask(proxy, "add") == 1
    assert ask(a.proxy_for(made["host_url"], made["agent_id"]), "add", by=0) == 0


def test_resources_of_the_original_stay_open(a: Host) -> None:
    proxy = a.create(HasFiles)
    ask(proxy, "open", names=["x"])
    clone = proxy.clone()
    assert ask(proxy, "names") == ["x"]
    assert ask(clone, "names") == []


def test_to_nowhere(a: Host) -> None:
    proxy = a.create(Recorder)
    with pytest.raises(TransferError, match="nowhere"):
        proxy.clone("nowhere")
    assert ask(proxy, "log") == ["creation@a", "run@a"]


def test_a_cloning_hook_that_raises_cancels(a: Host) -> None:
    proxy = a.create(Picky, init=["cloning"])
    before = len(a.list_agents())
    with pytest.raises(HostError, match="not cloning"):
        proxy.clone()
    assert len(a.list_agents()) == before
    assert ask(proxy, "add") == 1


@pytest.mark.parametrize("to", [None, "b"])
def test_a_hook_of_the_clone_that_raises(a: Host, b: Host, to: str | None) -> None:
    proxy = a.create(Picky, init=["clone"])
    host = b if to else a
    before = {each["agent_id"] for each in host.list_agents()}
    with pytest.raises(LifecycleError, match="not clone"):
        proxy.clone(to)
    assert ask(proxy, "add") == 1
    made = [each for each in host.list_agents() if each["agent_id"] not in before]
    assert [each["status"] for each in made] == ["failed"], "it exists, and says what is wrong with it"


def test_a_cloned_hook_that_raises_changes_nothing(a: Host) -> None:
    proxy = a.create(Picky, init=["cloned"])
    clone = proxy.clone()
    assert ask(clone, "add") == 1
    assert ask(proxy, "add") == 1


def test_a_parked_one_is_not_cloned(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    with pytest.raises(LifecycleError, match="parked"):
        proxy.clone()


def test_messages_reach_the_one_they_are_for(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    clones = [proxy.clone("ab"[number % 2]) for number in range(4)]
    for number, clone in enumerate(clones):
        clone.send_oneway(Message("add", {"by": number}))
    assert [ask(clone, "add", by=0) for clone in clones] == [0, 1, 2, 3]
    assert ask(proxy, "add", by=0) == 0
    eventually(lambda: all(clone.is_active() for clone in clones))
