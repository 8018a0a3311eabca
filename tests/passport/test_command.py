"""`paglets passport`, against hosts in processes of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def test_a_journey_is_shown_from_any_host_and_after_its_end(site: Site) -> None:
    site.start("a")
    site.start("b", "--peer", site.wait_ready("a"))
    site.wait_ready("b")
    agent_id = site.ask("a", "create", "cli_samples:Notebook")["agent_id"]
    unmoved = site.on("a", "passport", agent_id)
    assert (unmoved.code, "It has never moved" in unmoved.out + unmoved.err) == (0, True)
    for at, to in ("ab", "ba", "ab"):
        assert site.on(at, "dispatch", agent_id, to).code == 0

    shown = site.on("a", "passport", agent_id[:8])
    assert shown.code == 0, shown.err
    assert "back to where it was born" in shown.out
    assert shown.out.count("by both") == 3
    document = site.ask("a", "passport", agent_id)
    assert (document["fits"], document["complete"], document["host_name"]) == (True, True, "b")
    assert [hop["target_name"] for hop in document["hops"]] == ["b", "a", "b"]
    assert json.loads(document["stops"][0]["header"])["body"]["agent_id"] == agent_id

    site.stop("b")
    left = site.on("a", "passport", agent_id)
    assert "It has left a; the host that it went to does not answer" in left.out, left.err
    assert left.out.count("by both") == 3
    nobody = site.on("a", "passport", "nobody")
    assert (nobody.code, "there is no paglet" in nobody.err) == (1, True)
