"""Hosts are killed again while they settle what an earlier kill has left in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.moving import set_out
from tests.faults.site import eventually

if TYPE_CHECKING:
    from tests.faults.site import Site

SETTLING_ARRIVED = [
    ("b", "question-received"),
    ("b", "answer-due"),
    ("a", "before:departed"),
    ("a", "after:departed"),
]
SETTLING_FENCED = [
    ("b", "question-received"),
    ("b", "before:verdict:fenced"),
    ("b", "after:verdict:fenced"),
    ("b", "answer-due"),
    ("a", "before:active:activation"),
    ("a", "after:active:activation"),
    ("a", "activation:recovered"),
]


@pytest.mark.parametrize("victims", ["same", "both"])
@pytest.mark.parametrize(("at", "point"), SETTLING_ARRIVED)
@pytest.mark.slow
def test_while_it_settles_an_arrival(site: Site, at: str, point: str, victims: str) -> None:
    site["b"].hold("verdict-due")
    journey = set_out(site, "own")
    site["b"].reached("verdict-due")
    kill_again(site, at, point, victims)
    journey.finish("b")
    site.only_their_processes()


@pytest.mark.parametrize("victims", ["same", "both"])
@pytest.mark.parametrize(("at", "point"), SETTLING_FENCED)
@pytest.mark.slow
def test_while_it_settles_a_refusal(site: Site, at: str, point: str, victims: str) -> None:
    site["a"].hold("trailer-due")
    journey = set_out(site, "own")
    site["a"].reached("trailer-due")
    kill_again(site, at, point, victims)
    journey.finish("a")
    site.only_their_processes()


@pytest.mark.slow
def test_a_refusal_that_was_said_is_kept(site: Site) -> None:
    """The same envelope, asked about twice over a restart of its target, finds the same answer."""
    site["a"].hold("trailer-due")
    journey = set_out(site, "own")
    site["a"].reached("trailer-due")
    kill_again(site, "b", "answer-due", "same")
    assert journey.finish("a").epoch > journey.epoch


def kill_again(site: Site, at: str, point: str, victims: str) -> None:
    """Kill both, and then once more who comes by that point while they settle."""
    for node in site.nodes.values():
        node.kill()
    site[at].hold(point)
    for node in site.nodes.values():
        node.start()
    site[at].reached(point)
    for victim in at if victims == "same" else "ab":
        site[victim].kill()
    for node in site.nodes.values():
        node.points.clear()
        if node.process is None:
            node.start()
    eventually(lambda: all(node.process for node in site.nodes.values()))
