"""Nothing leaks: two hosts hold no more after many create-move-dispose cycles. ``make leaks`` does 20 000 of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.site import Site
from tests.leaks.cycles import run
from tests.leaks.judging import PROGRAM, judge

if TYPE_CHECKING:
    from pathlib import Path

CYCLES = 900
BATCH = 60


@pytest.mark.slow
@pytest.mark.timeout(590)
def test_hosts_hold_no_more_after_many_paglets(tmp_path: Path) -> None:
    with Site(PROGRAM, tmp_path / "site") as site:
        for name in ("a", "b"):
            site.start(name)
        site.wait_until_known(2)
        made = run(site, tmp_path / "site", CYCLES, BATCH)
    lines, faults = judge(made, tmp_path / "site")
    assert not faults, "\n".join([*faults, "", *lines])
