"""One-way messages for hosts that are away, on real hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, RemoteHostError
from paglets.core.messages import Message
from paglets.remote import outbox_api as api
from paglets.remote.client import HostClient
from paglets.remote.proxy import PagletProxy
from tests.outbox.agents import Lister, Sender
from tests.outbox.asking import call, dead_letters, items, note, outbox, seen_from

if TYPE_CHECKING:
    from paglets.testing.mesh import LocalMesh


def test_messages_wait_for_a_host_and_come_in_order(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = b.create(Lister)
    afar = seen_from(a, proxy)
    afar.send_oneway(note(0))
    paglets_mesh.wait_until(lambda: items(proxy) == [0])
    paglets_mesh.stop("b")
    for value in range(1, 6):
        afar.send_oneway(note(value))
    assert [each["agent_id"] for each in outbox(a)] == [proxy.agent_id] * 5
    b = paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: items(afar) == [0, 1, 2, 3, 4, 5], within=20.0)
    paglets_mesh.wait_until(lambda: not outbox(a))
    assert not dead_letters(a)


def test_what_waits_survives_a_restart_of_its_host(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = b.create(Lister)
    paglets_mesh.stop("b")
    for value in range(3):
        seen_from(a, proxy).send_oneway(note(value))
    a = paglets_mesh.restart("a", meet=False)
    assert len(outbox(a)) == 3
    b = paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: items(seen_from(b, proxy)) == [0, 1, 2], within=20.0)


def test_a_paglet_sends_to_a_host_that_is_away(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy, sender = b.create(Lister), a.create(Sender)
    paglets_mesh.stop("b")
    told = {"agent_id": proxy.agent_id, "host_url": proxy.host_url}
    assert sender.send(Message("send", {**told, "value": "v"}), timeout=20.0) is True
    assert [each["sender"] for each in outbox(a)] == [sender.agent_id]
    b = paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: items(seen_from(b, proxy)) == ["v"], within=20.0)


def test_a_link_that_breaks_doubles_nothing(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = b.create(Lister)
    afar = seen_from(a, proxy)
    for value in range(30):
        if value % 10 == 5:
            paglets_mesh.cut("a", "b")
        afar.send_oneway(note(value))
        if value % 10 == 8:
            paglets_mesh.heal("a", "b")
    paglets_mesh.wait_until(lambda: items(proxy) == list(range(30)), within=20.0)


def test_a_forward_to_a_host_that_is_away_is_waited_for(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Lister)
    moved = proxy.dispatch(b.address)
    paglets_mesh.stop("b")
    a.proxy_for(a.address, proxy.agent_id).send_oneway(note("later"))
    assert len(outbox(a)) == 1
    b = paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: items(seen_from(b, moved)) == ["later"], within=20.0)


def test_a_message_for_a_parked_paglet_wakes_it(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = b.create(Lister).deactivate()
    paglets_mesh.stop("b")
    seen_from(a, proxy).send_oneway(note("wake"))
    b = paglets_mesh.start("b")
    there = seen_from(b, proxy)
    paglets_mesh.wait_until(there.is_active, within=20.0)
    assert items(there) == ["wake"]


def test_what_is_refused_becomes_a_dead_letter_and_can_be_dropped(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = b.create(Lister)
    b_url = b.address
    paglets_mesh.stop("b")
    a.proxy_for(b_url, "nobody").send_oneway(note(1))
    seen_from(a, proxy).send_oneway(note(2))
    paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: dead_letters(a), within=20.0)
    (letter,) = dead_letters(a)
    assert letter["agent_id"] == "nobody"
    assert "there is no paglet" in letter["reason"]
    assert not letter["in_doubt"]
    params = api.DeadLetterParams(number=letter["number"])
    assert call(a, api.DEAD_LETTERS_DROP, params) == {"dropped": True}
    assert not dead_letters(a)
    with pytest.raises(HostError, match="no dead letter"):
        call(a, api.DEAD_LETTERS_REPLAY, params)


def test_what_waits_too_long_is_dead_and_can_be_replayed(
    paglets_mesh: LocalMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paglets.runtime.outbox.outbox.MAX_LIFETIME", 0.2)
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = b.create(Lister)
    paglets_mesh.stop("b")
    seen_from(a, proxy).send_oneway(note("again"))
    paglets_mesh.wait_until(lambda: dead_letters(a), within=20.0)
    monkeypatch.undo()
    a = paglets_mesh.restart("a", meet=False)
    (letter,) = dead_letters(a)
    assert not outbox(a)
    call(a, api.DEAD_LETTERS_REPLAY, api.DeadLetterParams(number=letter["number"]))
    assert not dead_letters(a)
    b = paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: items(seen_from(b, proxy)) == ["again"], within=20.0)


def test_a_client_without_a_host_is_told_at_once(paglets_mesh: LocalMesh) -> None:
    a = paglets_mesh.start("a")
    proxy = a.create(Lister)
    url = proxy.host_url
    paglets_mesh.stop("a")
    with HostClient(mesh_dir=paglets_mesh.mesh_dir) as client, pytest.raises(RemoteHostError):
        PagletProxy(url, proxy.agent_id, client).send_oneway(note(1))
