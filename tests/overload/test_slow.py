"""Those who ask and do not read: a stopped paglet, and a follower of events, each at a whole host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil

from paglets.core.errors import HostError
from paglets.core.messages import Message
from tests.overload.agents import Bystander, Flooder
from tests.overload.watching import bystander_served, eventually, pressure
from tests.standstill import go_on, stop

if TYPE_CHECKING:
    from paglets.testing.mesh import LocalMesh

MIB = 1024 * 1024


def test_answers_for_a_paglet_that_does_not_read_are_bounded_and_it_goes_on_afterwards(
    mesh: LocalMesh,
) -> None:
    host = mesh.start("slow")
    stuck, other = host.create(Flooder), host.create(Bystander)
    pid = stuck.info()["pid"]
    other.send_future(Message("sleep", {"seconds": 2}))
    told = stuck.send_future(
        Message("asks", {"to": other.agent_id, "times": 30, "size": 4 * MIB}), timeout=60
    )
    calls = "bytes of calls by paglets"
    eventually(lambda: pressure(host, calls)["used"] >= 30 * 1000, "its calls")
    before = psutil.Process().memory_info().rss
    stop(pid)
    try:
        with bystander_served(host) as watch:
            eventually(lambda: not pressure(host, calls)["used"], "all of them to be answered")
        assert watch.most_memory - before < 90 * MIB, "120 MiB of answers were made"
    finally:
        go_on(pid)
    outcomes = told.get_reply(timeout=60)
    assert outcomes["done"] >= 5
    assert outcomes["HostError"] >= 10
    assert "wait for this paglet to read them" in stuck.send(Message("why"), timeout=30)
    asked = stuck.send(Message("asks", {"to": other.agent_id, "times": 3, "size": 1000}), timeout=30)
    assert asked == {"done": 3}


def test_messages_for_a_paglet_that_is_stopped_wait_within_bounds_and_are_handled_afterwards(
    mesh: LocalMesh,
) -> None:
    host = mesh.start("stopped")
    stuck, flooder = host.create(Bystander), host.create(Flooder)
    pid = stuck.info()["pid"]
    stop(pid)
    try:
        with bystander_served(host):
            told = flooder.send_future(
                Message("sends", {"to": stuck.agent_id, "times": 100, "size": MIB}), timeout=60
            )
            mail = "bytes of messages that wait"
            eventually(lambda: pressure(host, mail)["refused"] > 30, "its mailbox to be full")
            assert pressure(host, mail)["used"] <= 64 * MIB
    finally:
        go_on(pid)
    outcomes = told.get_reply(timeout=60)
    assert outcomes["HostError"] > 30
    assert outcomes["done"] > 30
    assert stuck.send(Message("note"), timeout=30) == outcomes["done"] + 1


def test_a_program_whose_listener_does_not_return_delays_nobody(mesh: LocalMesh) -> None:
    host = mesh.start("listened-to")
    proxy = host.create(Bystander)
    reader, writer = os.pipe()

    def stuck(_event: object) -> None:
        os.read(reader, 1)

    host.add_listener(stuck)
    try:
        with bystander_served(host):
            for _ in range(20):
                proxy.send_oneway(Message("note"))
        assert proxy.send(Message("note"), timeout=10) == 21
    finally:
        host.remove_listener(stuck)
        os.close(writer)


def test_the_error_for_too_much_is_one_that_can_be_caught_as_a_host_error(mesh: LocalMesh) -> None:
    host = mesh.start("caught")
    flooder, other = host.create(Flooder), host.create(Bystander)
    other.send_future(Message("sleep", {"seconds": 2}))
    outcomes = flooder.send(Message("sends", {"to": other.agent_id, "times": 80, "size": MIB}), timeout=60)
    assert set(outcomes) == {"done", HostError.__name__}
