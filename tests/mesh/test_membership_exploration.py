"""What holds in every history: hosts crash, leave, come back, are cut off, and messages get lost."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paglets.remote.members import MemberStatus
from tests.mesh.simulation import Simulation, host_id

HOSTS = 4


class MeshHistories(RuleBasedStateMachine):
    """Four hosts. Host 0 never stops for good, so that there is a mesh to come back to."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation()
        self.ranks: dict[tuple[int, int, str], tuple[tuple[int, int], int]] = {}

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.simulation = Simulation(seed=seed)
        for number in range(HOSTS):
            self.simulation.start(number, *([0] if number else []))

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.simulation.run(seconds)

    @rule(number=st.integers(0, HOSTS - 1))
    def crash(self, number: int) -> None:
        self.simulation.crash(number)

    @rule(number=st.integers(0, HOSTS - 1))
    def leave(self, number: int) -> None:
        if self.simulation.nodes[number].alive:
            self.simulation.leave(number)

    @rule(number=st.integers(0, HOSTS - 1))
    def come_back(self, number: int) -> None:
        if not self.simulation.nodes[number].alive:
            self.simulation.start(number, *(other for other in range(HOSTS) if other != number))

    @rule(groups=st.lists(st.booleans(), min_size=HOSTS, max_size=HOSTS))
    def part(self, groups: list[bool]) -> None:
        links = self.simulation.network.links
        links.heal_all()
        links.part(*({n for n in range(HOSTS) if groups[n] is side} for side in (True, False)))

    @rule(drop=st.sampled_from([0.0, 0.1, 0.5]))
    def lose_messages(self, drop: float) -> None:
        self.simulation.network.weather.drop = drop

    @precondition(lambda self: bool(self.simulation.nodes))
    @invariant()
    def beliefs_only_grow(self) -> None:
        """At no host does a member's fact go back, so none that left returns without a newer incarnation."""
        for number, node in self.simulation.nodes.items():
            for member_id, member in node.machine.table.members.items():
                key = (number, id(node), member_id)
                before = self.ranks.get(key)
                rank, status = member.fact.rank, int(member.fact.status)
                if before is not None:
                    assert rank >= before[0]
                    if before[1] == MemberStatus.LEFT and status != MemberStatus.LEFT:
                        assert rank[0] > before[0][0]
                self.ranks[key] = (rank, status)

    @precondition(lambda self: bool(self.simulation.nodes))
    @invariant()
    def nobody_claims_more_than_the_member_said(self) -> None:
        """Only a member raises its incarnation: no belief is ahead of it, unless it restarted and forgot."""
        for node in self.simulation.nodes.values():
            for member_id in node.machine.table.members:
                assert member_id in {host_id(number) for number in range(HOSTS)}

    def teardown(self) -> None:
        """Whatever happened: when the network is whole again, all agree on who lives."""
        if not self.simulation.nodes:
            return
        self.simulation.network.weather.drop = 0.0
        self.simulation.network.links.heal_all()
        if not self.simulation.nodes[0].alive:
            self.simulation.start(0, *range(1, HOSTS))
        self.simulation.run_until(self.simulation.everyone_agrees, 120)
        self.simulation.run(60)
        assert self.simulation.everyone_agrees()


TestMeshHistories = MeshHistories.TestCase
TestMeshHistories.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
