"""Membership: joining, leaving and failing, on a network in memory."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from paglets.remote.discovery import AddressHint
from paglets.remote.members import Gossip, HostFacts, MemberFact, MemberStatus, fact_problem, normal_url
from paglets.remote.membership_effects import MembershipSettings, MeshEventKind, Ping
from tests.mesh.simulation import Simulation, facts_of, host_id, url_of


def mesh_of(count: int, *, seed: int = 1, settings: MembershipSettings | None = None) -> Simulation:
    """Hosts that know each other: 0 is everybody's seed."""
    simulation = Simulation(seed=seed, settings=settings)
    for number in range(count):
        simulation.start(number, *([0] if number else []))
    simulation.run_until(simulation.everyone_agrees, 60)
    return simulation


def test_two_hosts_know_each_other_at_once() -> None:
    simulation = Simulation()
    simulation.start(0)
    simulation.start(1, 0)

    assert simulation.run_until(simulation.everyone_agrees, 5) < 0.5
    assert simulation.nodes[0].kinds(1) == [MeshEventKind.JOINED]
    assert simulation.nodes[1].kinds(0) == [MeshEventKind.JOINED]


def test_a_newcomer_learns_from_one_host_whom_it_knows() -> None:
    simulation = mesh_of(40)
    simulation.start(40, 17)

    assert simulation.run_until(lambda: len(simulation.nodes[40].machine.table.up()) == 40, 10) < 1.0


def test_a_host_that_says_goodbye_has_left_and_not_failed() -> None:
    simulation = mesh_of(5)
    simulation.leave(3)

    simulation.run_until(simulation.everyone_agrees, 10)
    simulation.run(60)

    for number in (0, 1, 2, 4):
        assert simulation.nodes[number].kinds(3) == [MeshEventKind.JOINED, MeshEventKind.LEFT]
        assert simulation.nodes[number].status(3) == MemberStatus.LEFT


def test_a_host_that_is_killed_fails_after_missed_heartbeats() -> None:
    simulation = mesh_of(3)
    simulation.crash(2)

    took = simulation.run_until(simulation.everyone_agrees, 30)

    assert 5.0 < took < 12.0
    assert simulation.nodes[0].kinds(2) == [MeshEventKind.JOINED, MeshEventKind.FAILED]
    assert simulation.nodes[0].machine.table.members[host_id(2)].unreachable


def test_a_killed_host_is_back_as_soon_as_it_says_so() -> None:
    simulation = mesh_of(4)
    simulation.crash(2)
    simulation.run_until(simulation.everyone_agrees, 30)
    simulation.start(2, 1)

    assert simulation.run_until(simulation.everyone_agrees, 10) < 3.0
    assert simulation.nodes[0].kinds(2)[-1] == MeshEventKind.JOINED


def test_a_restart_faster_than_the_heartbeat_is_noticed_with_its_new_facts() -> None:
    simulation = mesh_of(3)
    simulation.crash(1)
    simulation.start(1, 0, facts=facts_of(1, name="renamed"))

    simulation.run(3)

    assert simulation.nodes[0].machine.table.members[host_id(1)].fact.facts.name == "renamed"
    assert simulation.nodes[2].machine.table.members[host_id(1)].fact.facts.name == "renamed"
    assert MeshEventKind.FAILED not in simulation.nodes[0].kinds(1)


def test_hosts_that_were_cut_off_from_each_other_meet_again_by_themselves() -> None:
    simulation = mesh_of(6)
    simulation.network.links.part({0, 1, 2}, {3, 4, 5})
    simulation.run_until(lambda: len(simulation.nodes[0].machine.table.up()) == 2, 60)
    simulation.run_until(lambda: len(simulation.nodes[5].machine.table.up()) == 2, 60)
    simulation.run(300)

    simulation.network.links.heal_all()

    assert simulation.run_until(simulation.everyone_agrees, 60) < 45.0


def test_a_host_that_only_some_cannot_reach_is_not_failed_but_marked_there() -> None:
    simulation = mesh_of(5)
    simulation.network.links.cut_one_way(0, 4)
    simulation.run(60)

    for number in range(4):
        assert MeshEventKind.FAILED not in simulation.nodes[number].kinds(4)
    # Host 4 reaches host 0, so there are signs of life; but host 0's own probes say what it can do.
    assert simulation.everyone_agrees()


def test_a_new_address_is_followed_and_reported() -> None:
    simulation = mesh_of(4)
    moved = replace_facts(facts_of(2), url="https://10.9.9.9:8765")
    node = simulation.nodes[2]
    simulation.perform(node, node.machine.update(moved))

    simulation.run_until(
        lambda: all(
            simulation.nodes[number].machine.table.members[host_id(2)].url == "https://10.9.9.9:8765"
            for number in (0, 1, 3)
        ),
        10,
    )

    assert MeshEventKind.ADDRESS_CHANGED in simulation.nodes[0].kinds(2)
    assert MeshEventKind.FAILED not in simulation.nodes[0].kinds(2)


def test_a_known_key_at_a_new_address_is_found_by_a_hint() -> None:
    """Its facts still name the old address, as when it does not know that it is behind another one."""
    simulation = mesh_of(2)
    node = simulation.nodes[0]
    machine = simulation.nodes[1].machine
    elsewhere = "https://10.8.8.8:8765"
    machine.beliefs.own = msgspec.structs.replace(
        machine.own, facts=replace_facts(machine.own.facts, url=elsewhere)
    )

    simulation.perform(node, node.machine.hint(simulation.now, AddressHint(elsewhere, host_id(1))))
    simulation.run(30)

    assert node.status(1) == MemberStatus.ALIVE
    assert elsewhere in node.machine.table.members[host_id(1)].urls


def test_name_clashes_are_reported_once_and_nobody_is_renamed() -> None:
    simulation = Simulation()
    simulation.start(0)
    simulation.start(1, 0, facts=facts_of(1, name="twin"))
    simulation.start(2, 0, facts=facts_of(2, name="twin"))
    simulation.run(30)

    clashes = [event for _, event in simulation.nodes[0].events if event.kind == MeshEventKind.NAME_CLASH]
    assert len(clashes) == 1
    assert len(simulation.nodes[0].machine.table.up()) == 2


def test_another_code_version_is_a_member_that_is_marked() -> None:
    simulation = Simulation()
    simulation.start(0)
    simulation.start(1, 0, facts=facts_of(1, version="2"))
    simulation.run(5)

    (_, joined), *_ = simulation.nodes[0].events
    assert joined.kind == MeshEventKind.JOINED
    assert not joined.compatible


def test_nobody_speaks_in_anothers_name() -> None:
    simulation = mesh_of(2)
    gossip = Gossip(sender=MemberFact(facts_of(7)))

    with pytest.raises(ValueError, match="in the name of"):
        simulation.nodes[0].machine.received(simulation.now, host_id(1), gossip)


def test_the_host_that_answers_at_a_hint_is_asked_again_by_its_key() -> None:
    """The first answer only claims an id; a member enters when the link insisted on it."""
    simulation = Simulation()
    node = simulation.start(0)
    (dial,) = [
        effect for effect in node.machine.hint(0.0, AddressHint(url_of(1))) if isinstance(effect, Ping)
    ]

    effects = node.machine.answered(0.1, dial.token, url_of(1), Gossip(sender=MemberFact(facts_of(1))))

    assert not node.machine.table.members
    assert [effect.host_id for effect in effects if isinstance(effect, Ping)] == [host_id(1)]


def test_strangers_hints_are_bounded_and_expire() -> None:
    simulation = Simulation()
    node = simulation.start(0)
    simulation.run(1)
    for number in range(5000):
        hint = AddressHint(f"https://10.77.{number // 250}.{number % 250}:1", f"stranger{number}")
        simulation.perform(node, node.machine.hint(simulation.now, hint))

    assert len(node.machine.hints.leads) <= node.machine.hints.limit
    simulation.sent.clear()
    simulation.run(30)
    assert simulation.sent[0] <= 10 * 30 + node.machine.settings.max_dials
    simulation.run(60)
    assert not node.machine.hints.leads
    assert not node.machine.table.members


def test_a_seed_is_tried_until_it_answers() -> None:
    simulation = Simulation()
    simulation.start(1, 0)
    simulation.run(120)
    simulation.start(0)

    assert simulation.run_until(simulation.everyone_agrees, 60) <= 20.0


def test_a_full_table_lets_only_the_living_in() -> None:
    simulation = Simulation(settings=MembershipSettings(max_members=3))
    for number in range(6):
        simulation.start(number, *([0] if number else []))
    simulation.run(30)

    assert len(simulation.nodes[0].machine.table.members) == 3


def test_an_evicted_key_is_gone_and_stays_out() -> None:
    simulation = mesh_of(3)
    revoked = {host_id(2)}
    for number in (0, 1):
        machine = simulation.nodes[number].machine
        machine.table.admits = lambda key: key not in revoked
        simulation.perform(simulation.nodes[number], machine.evict(host_id(2)))
    simulation.run(30)

    assert host_id(2) not in simulation.nodes[0].machine.table.members
    assert host_id(2) not in simulation.nodes[1].machine.table.members


def test_a_host_alone_has_nothing_to_wake_up_for() -> None:
    simulation = Simulation()
    node = simulation.start(0)
    simulation.run(5)

    assert node.machine.next_wakeup(simulation.now) == float("inf")
    assert simulation.sent[0] == 0


def test_the_departed_are_forgotten_in_the_end() -> None:
    simulation = mesh_of(3, settings=replace(MembershipSettings(), left_memory=60.0, failed_memory=120.0))
    simulation.leave(2)
    simulation.crash(1)
    simulation.start(3, 0)
    simulation.run(300)

    assert list(simulation.nodes[0].machine.table.members) == [host_id(3)]


def test_facts_that_are_too_large_are_named() -> None:
    assert fact_problem(MemberFact(facts_of(1))) == ""
    assert "too large" in fact_problem(MemberFact(replace_facts(facts_of(1), properties={"x": "y" * 5000})))
    assert "addresses" in fact_problem(
        MemberFact(replace_facts(facts_of(1), addresses=("https://h:1",) * 17))
    )
    assert "incarnation" in fact_problem(MemberFact(facts_of(1), incarnation=-1))


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://Host.Example:8765/", "https://host.example:8765"),
        ("HTTPS://10.0.0.1:1/health?x=1", "https://10.0.0.1:1"),
        ("https://[FD00::1]:8765", "https://[fd00::1]:8765"),
        ("alpha", ""),
        ("https://:80", ""),
        ("https://host:port", ""),
        ("https://[::1", ""),
    ],
)
def test_urls_are_written_in_one_way(written: str, normal: str) -> None:
    assert normal_url(written) == normal


def replace_facts(facts: HostFacts, **changes: object) -> HostFacts:
    return msgspec.structs.replace(facts, **changes)
