"""How many commits a life begins with: one, and one more for a hook that has something to do."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from paglets.runtime.supervisor import Supervisor
from paglets.runtime.transfers.first_hooks import FirstHooks
from tests.host.agents import Notes, Plain, Recorder, Strict
from tests.host.support import events_of, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.agent import Paglet
    from paglets.runtime.child_specs import Admitted
    from paglets.runtime.children.child import Child
    from paglets.runtime.host import Host
    from paglets.runtime.lives import Life


def commits(host: Host, work: Callable[[], object]) -> int:
    before = host.status()["commit"]
    work()
    return host.status()["commit"] - before


@pytest.mark.parametrize(
    ("agent_class", "state", "hook"), [(Plain, Strict("x", 7), 0), (Recorder, Notes(), 1)]
)
def test_a_life_begins_with_one_commit_and_one_more_for_a_hook(
    start: Callable[..., Host], agent_class: type[Paglet[Any]], state: object, hook: int
) -> None:
    host = start("alone", mesh=False)
    assert commits(host, lambda: host.create(agent_class, state, agent_id="it")) == 1 + hook
    assert commits(host, lambda: host.deactivate("it")) == 1
    assert commits(host, lambda: host.activate("it")) == 1 + hook
    assert commits(host, lambda: host.dispatch("it", host.address)) == 1 + hook
    told = [event.kind for event in events_of(host, "it")]
    assert told == ["create", "deactivate", "activate", "dispatch", "arrival"]


def test_a_class_without_hooks_comes_back_as_others_do(start: Callable[..., Host]) -> None:
    host = start("alone", mesh=False)
    host.create(Plain, Strict("x", 7), agent_id="it")
    host.stop()
    again = start("alone", mesh=False)
    proxy = again.get_proxy("it")
    assert proxy is not None
    assert proxy.is_active()
    assert again.get_state("it", Strict) == Strict("x", 7)


@pytest.mark.parametrize("way", ["create", "activate", "dispatch"])
def test_a_process_that_ended_before_its_life_had_begun_is_made_again(
    start: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    host = start("alone", mesh=False)
    if way != "create":
        host.create(Plain, Strict("x", 7), agent_id="it")
    if way == "activate":
        host.deactivate("it")
    launch = Supervisor.start
    ended: list[int] = []

    async def ends_at_once(self: Supervisor, life: Life, **asked: Any) -> tuple[Child, Admitted]:
        child, admitted = await launch(self, life, **asked)
        if not ended:
            ended.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)
            await child.wait_ended()
        return child, admitted

    monkeypatch.setattr(Supervisor, "start", ends_at_once)
    match way:
        case "create":
            host.create(Plain, Strict("x", 7), agent_id="it")
        case "activate":
            host.activate("it")
        case _:
            host.dispatch("it", host.address)
    assert ended
    proxy = host.get_proxy("it")
    assert proxy is not None
    eventually(lambda: proxy.info()["active"] and proxy.info()["pid"] not in {None, *ended})
    assert host.get_state("it", Strict) == Strict("x", 7)
    eventually(lambda: events_of(host, "it", "restarted"))


@pytest.mark.parametrize(
    ("agent_class", "state", "asked"), [(Plain, Strict("x", 7), 0), (Recorder, Notes(), 1)]
)
def test_only_a_hook_that_has_something_to_do_is_asked_about(
    start: Callable[..., Host],
    monkeypatch: pytest.MonkeyPatch,
    agent_class: type[Paglet[Any]],
    state: object,
    asked: int,
) -> None:
    a = start("a")
    b = start("b", peers=[a.address])
    a.mesh.wait_for_host("b", timeout=10.0)
    questions: list[str] = []
    ask = FirstHooks.returned

    async def counted(self: FirstHooks, agent_id: str, *how: Any) -> None:
        questions.append(agent_id)
        await ask(self, agent_id, *how)

    monkeypatch.setattr(FirstHooks, "returned", counted)
    a.create(agent_class, state, agent_id="it")
    a.dispatch("it", "b")
    assert questions == ["it"] * asked
    if asked:
        assert any(line.startswith("arrival@b") for line in b.get_state("it", Notes).log)
    a.proxy_for(b.address, "it").clone("a")
    assert len(questions) == 2 * asked
