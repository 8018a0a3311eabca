"""A host is killed while a paglet moves with a file: one copy in the end, its file with it, and nothing else left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.luggage import CONTENT, files_below, packed, set_out
from tests.faults.moving import begin
from tests.faults.site import eventually

if TYPE_CHECKING:
    from tests.faults.site import Site

SOURCE = {
    # Points at the source, and where the paglet is in the end when the source is killed there.
    "shipping": "a",
    "file-chunk-sent": "a",
    "shipped": "a",
    "before:prepared": "a",
    "after:prepared": "a",
    "trailer-due": "a",
    "trailer-sent": "b",
    "verdict-received": "b",
    "before:departed": "b",
    "after:departed": "b",
    "tidying": "b",
}
TARGET: dict[str, str | None] = {
    # The same at the target. While files come in, a source that lives tries again, and may be quick enough.
    "file-due": None,
    "file-staged": None,
    "header-received": "a",
    "trailer-received": "a",
    "before:active:arrival": "a",
    "after:active:arrival": "b",
    "verdict-due": "b",
    "arrival": "b",
}
KINDS = ("dispatch", "own", "retract", "parked", "clone")
FAST = {
    ("dispatch", "a", "file-chunk-sent", "a"),
    ("dispatch", "a", "before:departed", "a"),
    ("dispatch", "a", "tidying", "a"),
    ("own", "b", "file-staged", "b"),
    ("dispatch", "b", "after:active:arrival", "ab"),
    ("own", "b", "arrival", "b"),
    ("clone", "b", "before:active:arrival", "b"),
    ("parked", "a", "trailer-sent", "a"),
}

FAST_HARMS = {("own", "missing"), ("dispatch", "shorter"), ("parked", "other")}


def _names(kind: str, point: str) -> str | None:
    """What a point is called in a move of another kind; None when such a move does not come by."""
    if kind == "parked":
        return None if point == "arrival" else point.replace(":active:arrival", ":inactive")
    if kind == "clone":
        if point == "tidying":
            return None
        point = {"arrival": "clone"}.get(point, point)
        return point.replace(":active:arrival", ":active:clone").replace(":departed", ":deleted")
    return point


def _cases() -> list[object]:
    found: list[object] = []
    for kind in KINDS:
        for at, points in (("a", SOURCE), ("b", TARGET)):
            for point in points:
                for victims in ("a", "b", "ab"):
                    name = _names(kind, point)
                    if name is not None:
                        marks = () if (kind, at, point, victims) in FAST else (pytest.mark.slow,)
                        found.append(
                            pytest.param(
                                kind,
                                at,
                                name,
                                point,
                                victims,
                                marks=marks,
                                id=f"{kind}-{at}-{name}-{victims}",
                            )
                        )
    return found


@pytest.mark.parametrize(("kind", "at", "name", "point", "victims"), _cases())
def test_killed(site: Site, tmp_path: Path, kind: str, at: str, name: str, point: str, victims: str) -> None:
    site[at].hold(name)
    removal = set_out(site, kind, tmp_path)
    removal.comes_by(at, name)
    for victim in victims:
        site[victim].kill()
    for node in site.nodes.values():
        node.points.clear()
        if node.process is None:
            node.start()
    where = SOURCE[point] if at == "a" else TARGET[point]
    # When only the other one dies, who lives may come to either end.
    removal.finish(where if at in victims and (at == "b" or victims == "a") else None)
    site.only_their_processes()


def test_a_file_that_is_taken_in_after_its_move_was_settled_is_not_kept(site: Site, tmp_path: Path) -> None:
    """Its source was killed, is back, and has told that it sends nothing of that move any more."""
    site["b"].hold("file-due")
    removal = set_out(site, "parked", tmp_path)
    removal.comes_by("b", "file-due")
    site["a"].kill()
    site["a"].start()
    assert site.settled_as("inactive", removal.agent_id).host == "a"
    other = site.create("a")  # whose move brings b the floor of a
    site.proxy("a", other).dispatch(site["b"].url)
    site.proxy("b", other).dispose()
    site["b"].let_go("file-due")
    assert removal.finish() == "a"


def test_a_source_that_was_changed_before_it_could_be_deleted_is_kept(site: Site, tmp_path: Path) -> None:
    """The paglet has arrived, its host dies before it deletes the file, and somebody writes a new one."""
    site["a"].hold("tidying")
    removal = set_out(site, "dispatch", tmp_path)
    removal.comes_by("a", "tidying")
    site["a"].kill()
    removal.source.unlink()
    removal.source.write_bytes(CONTENT[::-1])
    site["a"].start()
    assert site.settled_as("active", removal.agent_id).host == "b"
    eventually(lambda: not files_below(site, "a"))
    assert removal.source.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    ("kind", "harm"),
    [
        pytest.param(kind, harm, marks=() if (kind, harm) in FAST_HARMS else (pytest.mark.slow,))
        for kind in ("own", "dispatch", "parked")
        for harm in ("missing", "shorter", "other")
    ],
)
def test_a_staged_file_that_is_not_as_it_came_fences_the_move(
    site: Site, tmp_path: Path, kind: str, harm: str
) -> None:
    """The envelope is complete: the target says FENCED, and the source keeps paglet and file."""
    site["b"].hold("trailer-received")
    removal = set_out(site, kind, tmp_path)
    removal.comes_by("b", "trailer-received")
    [staged] = files_below(site, "b")
    path = Path(staged)
    path.unlink()
    if harm == "shorter":
        path.write_bytes(CONTENT[:-1])
    if harm == "other":
        path.write_bytes(CONTENT[::-1])
    site["b"].let_go("trailer-received")
    assert removal.finish("a") == "a"
    assert "not here as it should be" in str(removal.call.exception(0) or removal.call.result(0))
    again = begin(site, "dispatch", removal.agent_id)
    again.result(20.0)
    assert site.settled(removal.agent_id).host == "b"


def test_a_file_that_goes_again_and_again_leaves_nothing_at_the_target(site: Site, tmp_path: Path) -> None:
    """Each try stages the first of two files, and fails with the second."""
    agent_id, source = packed(site, tmp_path)
    second = tmp_path / "second"
    second.write_bytes(b"x")
    site.tell("a", agent_id, "pack", path=str(second))
    second.unlink()
    for _ in range(5):
        assert "second" in str(begin(site, "dispatch", agent_id).exception(20.0))
    assert len(files_below(site, "b")) == 1, "only of the last try something is left"
    second.write_bytes(b"x")
    begin(site, "dispatch", agent_id).result(20.0)
    assert site.settled(agent_id).host == "b"
    eventually(lambda: len(files_below(site, "b")) == 2)
    eventually(lambda: not source.exists())
