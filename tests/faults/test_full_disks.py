"""A disk that is full at a durable step: the move does not happen, or is settled once there is room again."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import TransferError
from tests.faults.moving import set_out

if TYPE_CHECKING:
    from tests.faults.site import Site


@pytest.mark.parametrize("kind", ["own", "dispatch", "parked", "clone"])
@pytest.mark.parametrize(
    ("at", "point", "where"),
    [
        ("a", "before:prepared", "a"),
        ("b", "before:active:arrival", "a"),
        ("a", "before:departed", "b"),
    ],
)
def test_full(site: Site, kind: str, at: str, point: str, where: str) -> None:
    if kind in {"parked", "clone"}:
        point = point.replace(":active:arrival", ":inactive" if kind == "parked" else ":active:clone")
        point = point.replace(":departed", ":deleted" if kind == "clone" else ":departed")
    site[at].fail(point, errno.ENOSPC)
    journey = set_out(site, kind)
    copy = journey.finish(where)
    if where == "a" and kind != "own":
        with pytest.raises(TransferError, match="full"):
            journey.call.result(0)
    elif where == "a":
        assert "full" in journey.call.result(0)
        assert site.tell("a", copy.agent_id, "look")["log"][-1] == "dispatch_failed@a"
    else:
        journey.call.result(0)
    site.only_their_processes()
