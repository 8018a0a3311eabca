"""A host is killed at every step of a move: afterwards there is exactly one copy, where it has to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import RemoteHostError, TransferError, TransferInDoubtError
from tests.faults.moving import Journey, set_out

if TYPE_CHECKING:
    from tests.faults.site import Copy, Site

SOURCE = {
    # Points at the source, and where the paglet is in the end when the source is killed there.
    "dispatching": "a",
    "before:prepared": "a",
    "after:prepared": "a",
    "header-sent": "a",
    "chunk-sent": "a",
    "trailer-due": "a",
    "trailer-sent": "b",
    "verdict-received": "b",
    "before:departed": "b",
    "after:departed": "b",
}
TARGET = {
    # The same at the target. What it has not decided when it dies, it fences when it is asked.
    "header-received": "a",
    "trailer-received": "a",
    "before:active:arrival": "a",
    "after:active:arrival": "b",
    "verdict-due": "b",
    "verdict-sent": "b",
    "arrival": "b",
}
FAST = {
    *(("a", point, "a", "own") for point in SOURCE),
    *(("b", point, "b", "own") for point in TARGET),
    ("a", "chunk-sent", "a", "large"),
    ("a", "trailer-sent", "ab", "dispatch"),
    ("b", "after:active:arrival", "a", "dispatch"),
    ("a", "before:departed", "a", "clone"),
    ("a", "after:prepared", "a", "parked"),
    ("b", "before:active:arrival", "b", "retract"),
}
KINDS = ("own", "dispatch", "retract", "parked", "large", "clone")


def _names(kind: str, point: str) -> str | None:
    """What a point is called in a move of another kind; None when such a move does not come by."""
    if kind == "parked":
        renamed = {"dispatching": None, "arrival": None}
        return renamed.get(point, point.replace(":active:arrival", ":inactive"))
    if kind == "retract":
        return point.replace("dispatching", "reverting")
    if kind == "clone":
        renamed = {"dispatching": "cloning", "arrival": "clone"}
        return (
            renamed.get(point, point)
            .replace(":active:arrival", ":active:clone")
            .replace(":departed", ":deleted")
        )
    return point


def _cases() -> list[object]:
    found: list[object] = []
    for kind in KINDS:
        for at, points in (("a", SOURCE), ("b", TARGET)):
            for point in points:
                for victims in ("a", "b", "ab"):
                    name = _names(kind, point)
                    if name is not None:
                        fast = (at, point, victims, kind) in FAST
                        marks = () if fast else (pytest.mark.slow,)
                        found.append(
                            pytest.param(
                                kind,
                                at,
                                name,
                                point,
                                victims,
                                marks=marks,
                                id=f"{kind}-{at}-{name}-kill-{victims}",
                            )
                        )
    return found


def _expected(at: str, point: str, victims: str) -> str | None:
    """Where it has to be, when the victims are killed at that point and the others go on."""
    if victims in {at, "ab"}:
        # A target that dies with its source before the commit has nothing; the source asks, and is fenced.
        return SOURCE[point] if at == "a" and victims == "a" else TARGET.get(point) if at == "b" else None
    return None


@pytest.mark.parametrize(("kind", "at", "name", "point", "victims"), _cases())
def test_killed(site: Site, kind: str, at: str, name: str, point: str, victims: str) -> None:
    site[at].hold(name)
    journey = set_out(site, kind)
    journey.comes_by(at, name)
    for victim in victims:
        site[victim].kill()
    for node in site.nodes.values():
        node.points.clear()
        if node.process is None:
            node.start()
    copy = journey.finish(_expected(at, point, victims))
    _check_answer(journey, copy)
    site.only_their_processes()


def _check_answer(journey: Journey, copy: Copy) -> None:
    """Whoever got an answer was told the truth; whoever got none was told that."""
    error = journey.call.exception(0)
    if error is None and journey.kind != "clone":
        answer = journey.call.result(0)
        moved = isinstance(answer, dict)
        assert moved or answer.startswith("TransferError:"), answer  # nothing else may return into a handler
        assert copy.host == ("b" if moved else "a")
    elif isinstance(error, TransferError) and not isinstance(error, TransferInDoubtError):
        assert copy.host == "a"
    else:
        assert error is None or isinstance(error, RemoteHostError), error
