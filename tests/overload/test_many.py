"""Five hundred active paglets on one host: created, answering, stopped, and all back after the next start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from paglets.core.messages import Message
from tests.overload.agents import Bystander
from tests.overload.watching import PATIENCE, bystander_served, eventually

if TYPE_CHECKING:
    from paglets.testing.mesh import LocalMesh

MANY = 500


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_five_hundred_active_paglets_work_and_come_back_after_a_restart(mesh: LocalMesh) -> None:
    host = mesh.start("crowded")
    with ThreadPoolExecutor(16) as pool, bystander_served(host):
        proxies = [each.result() for each in [pool.submit(host.create, Bystander) for _ in range(MANY)]]
    assert host.health()["active_count"] == MANY
    replies = [proxy.send_future(Message("note"), timeout=60) for proxy in proxies]
    assert [reply.get_reply(timeout=60) for reply in replies] == [1] * MANY
    with ThreadPoolExecutor(16) as pool:
        for each in [pool.submit(host.checkpoint, proxy.agent_id) for proxy in proxies]:
            each.result()

    mesh.stop("crowded")
    host = mesh.start("crowded")
    eventually(lambda: host.health()["active_count"] == MANY, "all of them", within=120)
    eventually(lambda: host.status()["ready"], "the host to be ready", within=60)
    assert host.health()["failed_count"] == 0
    with bystander_served(host) as watch:
        replies = [
            host.proxy_for(host.address, proxy.agent_id).send_future(Message("note"), timeout=120)
            for proxy in proxies
        ]
        assert [reply.get_reply(timeout=120) for reply in replies] == [2] * MANY
    assert watch.slowest < PATIENCE
