"""A paglet that does not answer is waited for so long, and then named in a sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, LifecycleError, PagletError
from paglets.runtime.host import Host
from paglets.runtime.settings import HostSettings, Limits
from tests.host.agents import Notes, Recorder
from tests.host.support import ask
from tests.standstill import go_on, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paglets.remote.proxy import PagletProxy

DOINGS: dict[str, tuple[Callable[[Host, str], object], type[PagletError], str]] = {
    "get_state": (lambda host, agent_id: host.get_state(agent_id, Notes), HostError, "busy or stuck"),
    "list_agents": (lambda host, _: host.list_agents(include_state=True), HostError, "busy or stuck"),
    "checkpoint": (lambda host, agent_id: host.checkpoint(agent_id), HostError, "last checkpoint stays"),
    "deactivate": (lambda host, agent_id: host.deactivate(agent_id), LifecycleError, "it goes on"),
    "dispose": (lambda host, agent_id: host.dispose(agent_id), LifecycleError, "it goes on"),
    "dispatch": (lambda host, agent_id: host.dispatch(agent_id, host.name), LifecycleError, "it goes on"),
}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that waits 0.2 s for its paglets, whatever it wants of them."""
    root = tmp_path_factory.mktemp("hasty")
    settings = HostSettings("hasty", root / "data", mesh=False, limits=Limits(hook_timeout=0.2))
    with (
        pytest.MonkeyPatch.context() as patched,
        Host.from_settings(settings, mesh_dir=root / "mesh") as host,
    ):
        patched.setattr("paglets.runtime.lifecycle.OPERATION_TIMEOUT", 0.2)
        yield host


@pytest.fixture
def stuck(hasty: Host) -> Iterator[PagletProxy]:
    """A paglet whose process stands still."""
    proxy = hasty.create(Recorder)
    pid = ask(proxy, "where")[2]
    stop(pid)
    yield proxy
    go_on(pid)
    assert ask(proxy, "add") == 1, "it goes on"
    proxy.dispose()


@pytest.mark.parametrize("doing", list(DOINGS))
def test_a_stuck_paglet_is_named(hasty: Host, stuck: PagletProxy, doing: str) -> None:
    do, error, advice = DOINGS[doing]
    with pytest.raises(error, match=rf"paglet {stuck.agent_id} .* within 0\.2 s; .*{advice}") as caught:
        do(hasty, stuck.agent_id)
    assert type(caught.value) is error
