"""The network in memory: what may happen to a message does happen, and the same way each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.testing.network.network import HELD, Network, Weather
from paglets.testing.network.traffic import Traffic

Heard = list[tuple[float, str, str]]


def three(seed: int = 0, weather: Weather | None = None) -> tuple[Network[str, str], Heard]:
    """Three nodes, and what they have heard: when, who, what."""
    network: Network[str, str] = Network(seed=seed, weather=weather)
    heard: Heard = []
    for name in "abc":
        network.attach(
            name, lambda source, message, to=name: heard.append((network.clock(), source + to, message))
        )
    return network, heard


def texts(heard: Heard) -> list[str]:
    return [text for _, _, text in heard]


def test_a_message_arrives_when_its_time_has_come() -> None:
    network, heard = three(weather=Weather(latency=(2.0, 2.0)))
    network.send("a", "b", "hello")
    network.clock.advance(1.9)
    assert not heard
    assert [packet.message for packet in network.under_way] == ["hello"]
    network.clock.advance(1)
    assert heard == [(2.0, "ab", "hello")]
    assert not network.under_way


def test_what_goes_over_a_cut_link_is_lost_also_what_was_under_way() -> None:
    network, heard = three()
    network.send("a", "b", "before")
    network.links.cut("a", "b")
    network.send("b", "a", "while")
    network.send("a", "c", "around")
    network.clock.advance(1)
    network.links.heal("a", "b")
    network.send("a", "b", "after")
    network.clock.advance(1)
    assert texts(heard) == ["around", "after"]


def test_links_are_cut_one_way_and_between_groups() -> None:
    network, heard = three()
    network.links.cut_one_way("a", "b")
    network.send("a", "b", "lost")
    network.send("b", "a", "there")
    network.links.part({"a", "b"}, {"c"})
    network.links.heal("a", "b")
    network.send("a", "b", "together")
    network.send("c", "a", "lost")
    network.send("a", "a", "to myself")
    network.clock.advance(1)
    assert texts(heard) == ["there", "together", "to myself"]
    network.links.heal_all()
    assert network.links.is_up("c", "a")


def test_nobody_hears_what_is_sent_to_a_node_that_is_gone() -> None:
    network, heard = three()
    network.send("a", "b", "lost")
    network.detach("b")
    network.clock.advance(1)
    network.send("a", "nobody", "lost")
    network.clock.advance(1)
    assert not heard
    assert network.sent["a"] == 2


def test_by_hand_a_message_is_held_delayed_doubled_and_dropped() -> None:
    network, heard = three(weather=Weather(latency=(HELD, HELD)))
    for text in ("one", "two", "three", "four"):
        network.send("a", "b", text)
    network.clock.advance(1000)
    one, two, three_, four = network.under_way
    network.deliver(four)
    network.delay(one, 5)
    network.double(two, 3)
    network.drop(three_)
    network.deliver(two)
    network.clock.advance(10)
    assert texts(heard) == ["four", "two", "two", "one"]
    with pytest.raises(KeyError):
        network.deliver(one)


def test_all_that_is_sent_in_answer_is_delivered_too() -> None:
    network: Network[str, int] = Network(weather=Weather(latency=(HELD, HELD)))
    heard: list[int] = []

    def count_down(source: str, number: int) -> None:
        heard.append(number)
        if number:
            network.send("b" if source == "a" else "a", source, number - 1)

    network.attach("a", count_down)
    network.attach("b", count_down)
    network.send("a", "b", 3)
    network.deliver_all()
    assert heard == [3, 2, 1, 0]


def history(seed: int, weather: Weather) -> Heard:
    network, heard = three(seed, weather)
    for number in range(50):
        network.send("a", "b", str(number))
        network.clock.advance(0.1)
    network.clock.advance(10)
    return heard


BAD = Weather(latency=(0.1, 2.0), drop=0.2, double=0.2)


@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_history(seed: int) -> None:
    assert history(seed, BAD) == history(seed, BAD)


def test_bad_weather_drops_doubles_and_reorders() -> None:
    heard = texts(history(1, BAD))
    assert len(set(heard)) < 50
    assert len(set(heard)) < len(heard)
    assert heard != sorted(heard, key=int)
    assert history(1, BAD) != history(2, BAD)


def test_what_is_sent_reliably_is_lost_only_with_its_link() -> None:
    network, heard = three(weather=Weather(drop=1.0, double=1.0))
    network.send("a", "b", "one", reliably=True)
    network.send("a", "b", "two")
    network.links.cut("a", "c")
    network.send("a", "c", "three", reliably=True)
    network.clock.advance(1)
    assert texts(heard) == ["one"]


@given(st.sets(st.integers()), st.sets(st.integers()))
def test_traffic_is_a_value(first: set[int], second: set[int]) -> None:
    nothing: Traffic[int] = Traffic()
    both = nothing.send(*first).send(*second)
    assert both == nothing.send(*second, *first) == first | second
    assert hash(both) == hash(nothing.send(*second).send(*first))
    assert both.lose(*first) == second - first
    assert both.lose_all() == nothing
