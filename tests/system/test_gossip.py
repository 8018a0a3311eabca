"""How the facts of all hosts get to all hosts."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.system.mesh_info.contract import HostFacts, SyncEntry, SyncReply, SyncRequest
from paglets.system.mesh_info.gossip import Gossip, GossipSettings
from paglets.system.mesh_info.table import MAX_FACTS_BYTES, MAX_HOSTS, MAX_VERSION, Table
from paglets.testing.clock import Clock
from tests.system.gossip_simulation import Mesh, facts_of, host_id, url_of


def one(clock: Clock, number: int = 0) -> Gossip:
    return Gossip(host_id(number), clock=clock, random=Random(7))


def entry(number: int, version: int = 1, age: float = 0.0) -> SyncEntry:
    return SyncEntry(facts_of(number), version, age)


# --- a mesh in memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 20, 200])
def test_every_host_hears_of_every_other_in_a_logarithmic_number_of_rounds(count: int) -> None:
    mesh = Mesh(count)
    assert mesh.rounds_until_all_know_all(30) <= 3 + 1.5 * math.log2(count)


@pytest.mark.parametrize("count", [3, 200])
def test_a_host_sends_two_messages_a_round_however_many_there_are(count: int) -> None:
    mesh = Mesh(count)
    mesh.rounds(20)

    assert sum(mesh.sent.values()) == 2 * count * 20
    assert max(mesh.sent.values()) <= 3 * 20
    assert mesh.largest <= 256


def test_the_figures_of_200_idle_hosts_stay_far_from_stale() -> None:
    mesh = Mesh(200)
    mesh.rounds(15)
    assert mesh.oldest() < mesh.settings.stale_after / 2


def test_lost_messages_only_slow_it_down() -> None:
    mesh = Mesh(100, loss=0.2)
    assert mesh.rounds_until_all_know_all(40) <= 20
    mesh.rounds(10)
    assert mesh.oldest() < mesh.settings.stale_after


def test_news_in_a_settled_mesh_reach_everybody_in_a_logarithmic_number_of_rounds() -> None:
    mesh = Mesh(100)
    mesh.rounds_until_all_know_all(30)
    mesh.start(100)
    assert mesh.rounds_until_all_know_all(30) <= 12


def test_a_host_that_leaves_is_stale_and_then_forgotten_everywhere_for_good() -> None:
    mesh = Mesh(30)
    mesh.rounds_until_all_know_all(30)
    mesh.stop(7)

    mesh.rounds(25)
    for gossip in mesh.hosts.values():
        gone = gossip.table.get(host_id(7))
        assert gone is not None
        assert gossip.is_stale(gone)
    mesh.rounds(int(mesh.settings.forget_after / mesh.settings.idle_interval))
    for _ in range(10):
        mesh.rounds()
        assert not any(gossip.table.get(host_id(7)) for gossip in mesh.hosts.values())


def test_a_host_that_comes_back_with_nothing_goes_beyond_its_earlier_life() -> None:
    mesh = Mesh(30)
    mesh.rounds(50)
    mesh.stop(7)
    newborn = mesh.start(7)

    mesh.rounds(12)
    own = newborn.table.get(host_id(7))
    assert own is not None
    assert own.version > 50
    for gossip in mesh.hosts.values():
        known = gossip.table.get(host_id(7))
        assert known is not None
        assert known.version > 50
        assert gossip.age(known) < mesh.settings.stale_after


def test_interest_at_one_host_makes_the_whole_mesh_hurry_and_then_ends() -> None:
    mesh = Mesh(100)
    mesh.rounds(10)
    assert mesh.hosts[0].demand()

    mesh.rounds(12, interval=mesh.settings.busy_interval)
    assert all(gossip.demand_left() > 0 for gossip in mesh.hosts.values())
    mesh.rounds(20, interval=mesh.settings.busy_interval)
    assert not any(gossip.demand_left() for gossip in mesh.hosts.values())


# --- one host --------------------------------------------------------------------------------------------


def test_a_host_that_is_alone_asks_nobody() -> None:
    assert one(Clock()).begin_round(facts_of(0), []) is None


def test_an_answer_holds_only_what_the_asker_lacks() -> None:
    gossip = one(Clock())
    gossip.begin_round(facts_of(0), [])
    gossip.table.take([entry(1, 5), entry(2, 5), entry(3, 5)])

    reply = gossip.answer(SyncRequest(host_id(9), versions={host_id(1): 5, host_id(2): 4}))
    assert {each.facts.host_id for each in reply.entries} == {host_id(0), host_id(2), host_id(3)}


def test_a_request_holds_the_own_facts_and_the_latest_news_and_no_more() -> None:
    clock = Clock()
    gossip = one(clock)
    for number in range(1, 50):
        clock.advance(1)
        gossip.table.take([entry(number)])
    ask = gossip.begin_round(facts_of(0), [url_of(1)])

    assert ask is not None
    url, request = ask
    assert url == url_of(1)
    assert [each.facts.host_id for each in request.entries] == [host_id(n) for n in (0, *range(49, 42, -1))]
    assert len(request.versions) == 50


def test_ages_grow_where_entries_are_kept() -> None:
    clock = Clock()
    gossip = one(clock)
    gossip.table.take([entry(1, age=10.0)])
    clock.advance(5)
    [told] = gossip.answer(SyncRequest(host_id(2))).entries
    assert told.age_seconds == pytest.approx(15.0)


def test_an_older_version_changes_nothing() -> None:
    gossip = one(Clock())
    assert gossip.table.take([entry(1, 5)]) == 1
    assert gossip.table.take([entry(1, 4), entry(1, 5, age=3.0)]) == 0
    known = gossip.table.get(host_id(1))
    assert known is not None
    assert known.version == 5
    assert gossip.age(known) == 0.0


@pytest.mark.parametrize(
    "bad",
    [
        entry(1, 0),
        entry(1, -1),
        entry(1, MAX_VERSION + 1),
        entry(1, age=-1.0),
        entry(1, age=float("nan")),
        entry(1, age=GossipSettings().forget_after + 1),
        SyncEntry(HostFacts("", "nameless", url_of(1)), 1, 0.0),
        SyncEntry(HostFacts("x", "x", url_of(1), properties={"p": "x" * MAX_FACTS_BYTES}), 1, 0.0),
    ],
    ids=["version-0", "negative", "huge-version", "future", "nan", "too-old", "no-id", "too-large"],
)
def test_what_no_host_would_say_is_not_taken(bad: SyncEntry) -> None:
    gossip = one(Clock())
    assert gossip.table.take([bad]) == 0
    assert len(gossip.table) == 0


def test_a_peer_cannot_make_the_table_grow_beyond_its_bound() -> None:
    gossip = one(Clock())
    gossip.table.take(entry(number) for number in range(1, MAX_HOSTS + 100))
    assert len(gossip.table) == MAX_HOSTS


def test_a_host_that_hears_of_an_earlier_life_hurries_to_outdo_it() -> None:
    gossip = one(Clock())
    gossip.begin_round(facts_of(0), [])
    gossip.take_reply(SyncReply([entry(0, 500)]))
    assert gossip.pause() == 0.5
    gossip.begin_round(facts_of(0), [])
    own = gossip.table.get(host_id(0))
    assert own is not None
    assert own.version == 501
    assert gossip.pause() > 10


def test_the_versions_in_a_request_tell_of_an_earlier_life_too() -> None:
    gossip = one(Clock())
    gossip.begin_round(facts_of(0), [])
    gossip.answer(SyncRequest(host_id(1), versions={host_id(0): 500}))
    assert gossip.pause() == 0.5


def test_rounds_are_far_apart_until_somebody_asks() -> None:
    clock = Clock()
    gossip = one(clock)
    settings = gossip.settings
    assert 0.8 * settings.idle_interval <= gossip.pause() <= 1.2 * settings.idle_interval
    assert gossip.demand() is True
    assert gossip.demand() is False
    assert 0.8 * settings.busy_interval <= gossip.pause() <= 1.2 * settings.busy_interval
    clock.advance(settings.demand_lasts)
    assert gossip.pause() > settings.busy_interval * 2


def test_nobody_can_keep_a_host_awake_longer_than_a_question_would() -> None:
    gossip = one(Clock())
    gossip.answer(SyncRequest(host_id(1), demand_seconds=1e9))
    assert gossip.demand_left() <= gossip.settings.demand_lasts


# --- properties ------------------------------------------------------------------------------------------

ENTRIES = st.builds(entry, st.integers(0, 5), st.integers(-1, 20), st.floats(-1, 4000))


@given(st.lists(st.lists(ENTRIES, max_size=5), max_size=10), st.randoms(use_true_random=False))
def test_the_order_in_which_news_come_does_not_matter(batches: list[list[SyncEntry]], random: Random) -> None:
    def versions_after(order: list[list[SyncEntry]]) -> dict[str, int]:
        table = Table(host_id(0), clock=Clock(), forget_after=1800.0)
        for batch in order:
            table.take(batch)
        return table.versions()

    shuffled = list(batches)
    random.shuffle(shuffled)
    assert versions_after(batches) == versions_after(shuffled)
