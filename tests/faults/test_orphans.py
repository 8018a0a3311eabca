"""A host that comes back after a kill ends the children of its earlier life before it starts any of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.moving import traveller
from tests.faults.site import alive, eventually, kill
from tests.standstill import stop

if TYPE_CHECKING:
    from tests.faults.site import Site


def test_children_die_with_their_host(site: Site) -> None:
    agent_ids = [traveller(site) for _ in range(3)]
    pids = site["a"].children()
    assert len(pids) >= 3
    zygote = site["a"].zygote
    site["a"].kill()
    eventually(lambda: not any(alive(pid) for pid in [*pids, zygote]), within=5.0)
    site["a"].start()
    assert {site.settled(agent_id).epoch for agent_id in agent_ids} == {2}


def test_children_that_could_not_die_are_ended_before_their_paglets_come_back(site: Site) -> None:
    """Zygote and child are stopped, as by a debugger or a frozen cgroup: neither notices that the host has gone."""
    agent_id = traveller(site)
    [pid] = [copy.pid for copy in site.copies(agent_id)]
    assert pid
    zygote = site["a"].zygote
    stop(zygote)
    stop(pid)
    try:
        site["a"].kill()
        assert alive(pid)
        site["a"].hold("before:active:activation")
        site["a"].start()
        site["a"].reached("before:active:activation")
        assert not alive(pid)  # before the first step of the next life
        site["a"].let_go("before:active:activation")
        assert site.settled(agent_id).epoch == 2
        assert site.tell("a", agent_id, "add", by=0) >= 1000
        site.only_their_processes()
    finally:
        kill(zygote)


def test_what_a_child_has_started_goes_with_it(site: Site) -> None:
    agent_id = traveller(site)
    [pid] = [copy.pid for copy in site.copies(agent_id)]
    helper = site.tell("a", agent_id, "helper")
    assert pid
    zygote = site["a"].zygote
    stop(zygote)
    stop(pid)
    try:
        site["a"].restart()
        eventually(lambda: not alive(helper))  # it has been killed, and may take a moment to be gone
        assert site.settled(agent_id).epoch == 2
    finally:
        kill(zygote)
