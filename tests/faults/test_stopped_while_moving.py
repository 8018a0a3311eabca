"""A host that stops in order while paglets move is a power cut done politely: nothing is lost or doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.moving import set_out

if TYPE_CHECKING:
    from tests.faults.site import Site

CASES = [
    ("a", "header-sent", "a"),
    ("a", "trailer-due", "a"),
    ("a", "trailer-sent", None),
    ("a", "verdict-received", "b"),
    ("a", "dispatching", "a"),
    ("b", "header-received", "a"),
    ("b", "trailer-received", "a"),
    ("b", "verdict-due", "b"),
    ("b", "arrival", "b"),
]


@pytest.mark.parametrize("command", ["stop", "shutdown"])
@pytest.mark.parametrize("kind", ["own", "dispatch", "clone"])
@pytest.mark.parametrize(("at", "point", "where"), CASES)
@pytest.mark.slow
def test_stopped(site: Site, at: str, point: str, where: str | None, kind: str, command: str) -> None:
    stopped(site, at, point, where, kind, command)


@pytest.mark.parametrize(("at", "point", "where"), [("a", "trailer-due", "a"), ("b", "arrival", "b")])
def test_stopped_at_once(site: Site, at: str, point: str, where: str | None) -> None:
    stopped(site, at, point, where, "own", "stop")


def stopped(site: Site, at: str, point: str, where: str | None, kind: str, command: str) -> None:
    if kind == "clone":
        point = {"dispatching": "cloning", "arrival": "clone"}.get(point, point)
    site[at].hold(point)
    journey = set_out(site, kind)
    site[at].reached(point)
    site[at].order(command)
    site[at].wait_stopped(within=25.0)
    site[at].start()
    journey.finish(where)
    site.only_their_processes()
