"""Dispatches that wait for hosts that are away, on real hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import HostError, LifecycleError, PagletInactiveError, TransferError
from paglets.core.messages import Message
from paglets.persistence.errors import StoreFailedError
from paglets.remote import api, outbox_api
from paglets.remote.transfer import TransferTicket
from paglets.runtime.transfers import queueing
from tests.outbox.agents_that_travel import Traveller
from tests.outbox.asking import call, note

if TYPE_CHECKING:
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def to(target: str) -> TransferTicket:
    return TransferTicket(target, queue=True)


def waiting(host: Host) -> list[dict[str, Any]]:
    return call(host, outbox_api.OUTBOX_PAGLETS, outbox_api.PagletsWaitingParams())["paglets"]


def log(proxy: PagletProxy) -> list[Any]:
    return proxy.send(Message("log"), timeout=20.0)


def here(host: Host, proxy: PagletProxy) -> PagletProxy:
    return host.proxy_for(host.address, proxy.agent_id)


@pytest.fixture
def away(paglets_mesh: LocalMesh) -> tuple[LocalMesh, Host]:
    """A host that knows another one, ``b``, which has just stopped."""
    a = paglets_mesh.start("a")
    paglets_mesh.start("b")
    paglets_mesh.stop("b")
    return paglets_mesh, a


def test_a_paglet_waits_for_its_target_and_arrives_once(away: tuple[LocalMesh, Host]) -> None:
    mesh, a = away
    proxy = a.create(Traveller)
    waits = proxy.dispatch(to("b"))
    assert waits.host_url == a.address
    assert waits.info()["status"] == "queued"
    (entry,) = waiting(a)
    assert (entry["agent_id"], entry["host_name"]) == (proxy.agent_id, "b")
    (transfer,) = call(a, api.TRANSFERS_LIST, api.NoParams())["transfers"]
    assert (transfer["status"], transfer["peer"]) == ("queued", "b")
    mesh.start("b")
    mesh.wait_until(lambda: mesh.places(proxy.agent_id) == ["b"], within=20.0)
    assert log(waits) == ["leaves for b", "arrived at b"]
    assert waits.host_url == mesh["b"].address, "the proxy has learnt the new place"
    assert not waiting(a)


def test_a_handler_returns_its_reply_and_learns_where_it_waits(away: tuple[LocalMesh, Host]) -> None:
    mesh, a = away
    proxy = a.create(Traveller)
    assert proxy.send(Message("go", {"target": "b"}), timeout=20.0) == a.address
    assert waiting(a)
    mesh.start("b")
    mesh.wait_until(lambda: mesh.places(proxy.agent_id) == ["b"], within=20.0)
    assert log(proxy) == ["leaves for b", "arrived at b"]


def test_without_queue_it_did_not_move_and_stays_active(away: tuple[LocalMesh, Host]) -> None:
    _, a = away
    proxy = a.create(Traveller)
    with pytest.raises(TransferError):
        a.dispatch(proxy.agent_id, "b")
    assert proxy.info()["status"] == "active"
    assert not waiting(a)


def test_a_store_that_cannot_say_whether_it_waits_does_not_say_that_it_does_not(
    away: tuple[LocalMesh, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, a = away
    proxy = a.create(Traveller)

    def failing(*_: object, **__: object) -> None:
        raise StoreFailedError("the outcome of a write is open")

    monkeypatch.setattr(queueing, "queue_dispatch", failing)
    with pytest.raises(HostError, match="outcome of a write is open") as raised:
        a.dispatch(proxy.agent_id, to("b"))
    assert not isinstance(raised.value, TransferError)


def test_a_target_that_is_there_is_moved_to_at_once(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Traveller)
    assert proxy.dispatch(to("b")).host_url == b.address


def test_a_name_that_nobody_has_is_no_host_that_is_away(paglets_mesh: LocalMesh) -> None:
    a = paglets_mesh.start("a")
    proxy = a.create(Traveller)
    with pytest.raises(TransferError, match="no host of this mesh is called 'bb'"):
        proxy.dispatch(to("bb"))
    assert proxy.is_active()


def test_a_host_that_was_never_met_is_waited_for_by_its_url(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    url = b.address
    paglets_mesh.stop("b")
    a = paglets_mesh.restart("a", meet=False)
    proxy = a.create(Traveller)
    proxy.dispatch(to(url))
    assert waiting(a)
    paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: paglets_mesh.places(proxy.agent_id) == ["b"], within=20.0)


def test_it_waits_over_restarts_of_its_host(away: tuple[LocalMesh, Host]) -> None:
    mesh, a = away
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    a = mesh.restart("a", meet=False)
    assert here(a, proxy).info()["status"] == "queued"
    assert [each["agent_id"] for each in waiting(a)] == [proxy.agent_id]
    mesh.start("b")
    mesh.wait_until(lambda: mesh.places(proxy.agent_id) == ["b"], within=20.0)
    assert log(here(a, proxy)) == ["leaves for b", "arrived at b"]


def test_messages_wait_with_it_and_come_after_its_arrival_in_their_order(
    away: tuple[LocalMesh, Host],
) -> None:
    mesh, a = away
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    for value in range(4):
        proxy.send_oneway(note(value))
    assert proxy.send(note(4), timeout=20.0)["queued"] is True
    with pytest.raises(PagletInactiveError):
        proxy.send(note(5), no_delay=True)
    assert proxy.info()["status"] == "queued", "messages do not wake it"
    mesh.start("b")
    mesh.wait_until(lambda: mesh.places(proxy.agent_id) == ["b"], within=20.0)
    mesh.wait_until(lambda: len(log(proxy)) == 7, within=20.0)
    assert log(proxy) == ["leaves for b", "arrived at b", 0, 1, 2, 3, 4]


def test_its_files_wait_with_it(away: tuple[LocalMesh, Host]) -> None:
    mesh, a = away
    proxy = a.create(Traveller)
    proxy.send(Message("pack"), timeout=20.0)
    proxy.dispatch(to("b"))
    mesh.restart("a", meet=False)
    mesh.start("b")
    mesh.wait_until(lambda: mesh.places(proxy.agent_id) == ["b"], within=20.0)
    assert (
        mesh["b"].proxy_for(mesh["b"].address, proxy.agent_id).send(Message("unpack"), timeout=20.0)
        == "luggage"
    )


def test_a_parked_paglet_waits_and_arrives_parked(away: tuple[LocalMesh, Host]) -> None:
    mesh, a = away
    proxy = a.create(Traveller)
    proxy.deactivate(policy=DeactivationPolicy(activate_on_message=False))
    proxy.dispatch(to("b"))
    assert proxy.info()["status"] == "queued"
    mesh.start("b")
    mesh.wait_until(lambda: mesh.places(proxy.agent_id) == ["b"], within=20.0)
    assert mesh["b"].proxy_for(mesh["b"].address, proxy.agent_id).info()["status"] == "inactive"


@pytest.mark.parametrize("how", ["activate", "deactivate", "dispose", "elsewhere"])
def test_it_can_be_taken_out(paglets_mesh: LocalMesh, how: str) -> None:
    a, _, c = paglets_mesh.start("a"), paglets_mesh.start("b"), paglets_mesh.start("c")
    paglets_mesh.stop("b")
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    if how == "elsewhere":
        assert proxy.dispatch("c").host_url == c.address
        assert log(proxy) == ["leaves for b", "arrived at c"]
    else:
        getattr(proxy, how)()
    assert not waiting(a)
    if how == "activate":
        assert log(proxy) == ["leaves for b", ["activate", []]]
    paglets_mesh.start("b")
    expected = {"dispose": [], "elsewhere": ["c"]}.get(how, ["a"])
    # A paglet that goes the same way after it is there before it would be: the outbox looks when b is heard from.
    follower = a.create(Traveller)
    follower.dispatch(to("b"))
    paglets_mesh.wait_until(lambda: paglets_mesh.places(follower.agent_id) == ["b"])
    assert paglets_mesh.places(proxy.agent_id) == expected
    if how == "deactivate":
        assert here(a, proxy).info()["status"] == "inactive"


def test_it_is_not_said_to_be_brought_to_where_it_waits(away: tuple[LocalMesh, Host]) -> None:
    _, a = away
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    with pytest.raises(LifecycleError, match="waits here for b; activate it"):
        a.retract(a.address, proxy.agent_id)
    with pytest.raises(TransferError, match="waits here for b; activate it"):
        a.dispatch(proxy.agent_id, a.address)
    assert waiting(a)


def test_it_can_be_told_to_wait_for_another_host(paglets_mesh: LocalMesh) -> None:
    a, _, _ = paglets_mesh.start("a"), paglets_mesh.start("b"), paglets_mesh.start("c")
    paglets_mesh.stop("b")
    paglets_mesh.stop("c")
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    proxy.dispatch(to("c"))
    assert [each["host_name"] for each in waiting(a)] == ["c"]
    paglets_mesh.start("c")
    paglets_mesh.wait_until(lambda: paglets_mesh.places(proxy.agent_id) == ["c"], within=20.0)
    assert log(proxy)[-1] == "arrived at c"


def test_when_its_time_is_over_it_goes_on_where_it_is(
    away: tuple[LocalMesh, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paglets.runtime.outbox.dispatches.MAX_LIFETIME", 0.3)
    mesh, _ = away
    a = mesh.restart("a", meet=False)
    mesh.start("b")
    mesh.stop("b")
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    mesh.wait_until(lambda: here(a, proxy).info()["status"] == "active", within=20.0)
    assert log(here(a, proxy)) == ["leaves for b", ["dispatch-failed", ["destination", "error"]]]
    failed = [each for each in a.list_events() if each.kind == "transfer-failed"]
    assert "not back in time" in str(failed[-1].error)


def test_a_host_that_is_drained_is_waited_for(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    call(b, api.HOST_DRAIN, api.DrainParams(action=api.DrainAction.BEGIN))
    paglets_mesh.wait_until(lambda: any(each.properties.get("draining") for each in a.list_hosts()))
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    assert proxy.info()["status"] == "queued"
    call(b, api.HOST_DRAIN, api.DrainParams(action=api.DrainAction.UNDO))
    paglets_mesh.wait_until(lambda: paglets_mesh.places(proxy.agent_id) == ["b"], within=40.0)


def test_a_drained_host_sends_those_that_wait_elsewhere(paglets_mesh: LocalMesh) -> None:
    a, _, c = paglets_mesh.start("a"), paglets_mesh.start("b"), paglets_mesh.start("c")
    paglets_mesh.stop("b")
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    call(a, api.HOST_DRAIN, api.DrainParams(action=api.DrainAction.BEGIN))
    paglets_mesh.wait_until(lambda: paglets_mesh.places(proxy.agent_id) == ["c"], within=20.0)
    assert log(c.proxy_for(c.address, proxy.agent_id))[-1] == "arrived at c"


def test_a_clean_stop_leaves_it_waiting(away: tuple[LocalMesh, Host]) -> None:
    mesh, a = away
    proxy = a.create(Traveller)
    proxy.dispatch(to("b"))
    a.shutdown()
    mesh.stop("a")
    a = mesh.start("a", meet=False)
    assert here(a, proxy).info()["status"] == "queued"
    with pytest.raises(LifecycleError, match="parked"):
        here(a, proxy).clone()
