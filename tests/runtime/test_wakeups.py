"""Paglets that are woken at a time, or by a message, when that does not work at once."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from paglets.core.deactivation import DeactivationPolicy
from paglets.testing.points import Points
from tests.outbox.agents import Lister
from tests.outbox.asking import items, note, seen_from

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.testing.mesh import LocalMesh


def test_a_wake_up_that_fails_is_tried_again(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    points = Points(tmp_path / "points")
    points.prepare()
    a = paglets_mesh.start("a", points=points)
    proxy = a.create(Lister)
    points.arm("before:active", error=errno.ENOSPC)
    proxy.deactivate(policy=DeactivationPolicy.after(0.1))
    points.wait_reached("before:active")
    paglets_mesh.wait_until(proxy.is_active)


def test_a_queued_message_whose_wake_up_fails_wakes_its_paglet_later(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    points = Points(tmp_path / "points")
    points.prepare()
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b", points=points)
    proxy = b.create(Lister)
    proxy.deactivate()
    paglets_mesh.stop("b")
    seen_from(a, proxy).send_oneway(note("wake"))
    points.arm("before:active", error=errno.ENOSPC)
    b = paglets_mesh.start("b", points=points)
    points.wait_reached("before:active")
    there = seen_from(b, proxy)
    paglets_mesh.wait_until(there.is_active)
    assert items(there) == ["wake"]
