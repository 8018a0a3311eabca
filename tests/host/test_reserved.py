"""Messages that the runtime itself handles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, InvalidAgentError, PagletError, TransferError
from paglets.core.messages import CLONE, DEACTIVATE, DISPATCH, DISPOSE, REVERT, Message
from tests.host.agents import Notes, Recorder
from tests.host.support import ask, eventually

if TYPE_CHECKING:
    from paglets.runtime.host import Host


def test_deactivate(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    for sender in (a, b):
        answer = sender.proxy_for(a.address, proxy.agent_id).send(Message(DEACTIVATE, {"reason": "told to"}))
        assert answer == {"deactivated": True, "proxy": proxy.to_wire()}
        assert not proxy.is_active()
        assert "deactivating@a:told to" in a.get_state(proxy.agent_id, Notes).log
        proxy.activate()


def test_deactivate_of_a_parked_one_does_not_wake_it(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    assert proxy.send(Message(DEACTIVATE))["deactivated"] is True
    assert not proxy.is_active()


@pytest.mark.parametrize("args", [{"target": "b"}, None])
def test_dispatch(a: Host, b: Host, args: dict[str, str] | None) -> None:
    proxy = a.create(Recorder)
    message = Message(DISPATCH, args) if args else Message(DISPATCH, arg="b")
    assert proxy.send(message)["proxy"] == {"host_url": b.address, "agent_id": proxy.agent_id}
    assert ask(proxy, "where")[0] == "b"


def test_dispatch_without_a_target(a: Host) -> None:
    proxy = a.create(Recorder)
    with pytest.raises(HostError, match="target"):
        proxy.send(Message(DISPATCH))
    with pytest.raises(TransferError, match="nowhere"):
        proxy.send(Message(DISPATCH, {"target": "nowhere"}))
    assert ask(proxy, "add") == 1


def test_clone(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    here = proxy.send(Message(CLONE))["proxy"]
    there = proxy.send(Message(CLONE, {"target": "b"}))["proxy"]
    assert (here["host_url"], there["host_url"]) == (a.address, b.address)
    assert len({here["agent_id"], there["agent_id"], proxy.agent_id}) == 3


def test_revert(a: Host, b: Host) -> None:
    proxy = b.create(Recorder)
    answer = a.proxy_for(b.address, proxy.agent_id).send(Message(REVERT, {"target": a.address}))
    assert answer["proxy"]["host_url"] == a.address
    assert "reverting@b:retract" in ask(a.proxy_for(a.address, proxy.agent_id), "peek")


def test_dispose(a: Host) -> None:
    proxy = a.create(Recorder)
    assert proxy.send(Message(DISPOSE)) == {"disposed": True}
    assert not proxy.is_valid()
    with pytest.raises(InvalidAgentError):
        proxy.send(Message(DISPOSE))


def test_one_way(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.send_oneway(Message(DEACTIVATE))
    eventually(lambda: not proxy.is_active())


def test_they_follow_who_has_left(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    proxy.dispatch("b")
    old = a.proxy_for(a.address, proxy.agent_id)
    answer = old.send(Message(DEACTIVATE))
    assert answer["proxy"]["host_url"] == b.address
    assert not b.proxy_for(b.address, proxy.agent_id).is_active()


@pytest.mark.parametrize(
    "args", [{"reason": 5}, {"policy": "often"}, {"metadata": []}, {"policy": {"activate_at": "noon"}}]
)
def test_nonsense_in_them(a: Host, args: dict[str, object]) -> None:
    proxy = a.create(Recorder)
    with pytest.raises(PagletError):
        proxy.send(Message(DEACTIVATE, dict(args)))
    assert proxy.is_active()
