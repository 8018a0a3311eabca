"""Adopting through the command line alone: a target that takes too long to say anything, and then has the paglet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLE = """
import time
from dataclasses import dataclass
from paglets.core.agent import Paglet, PagletState

time.sleep({seconds})

@dataclass
class Nothing(PagletState):
    pass

class Slow(Paglet[Nothing]):
    State = Nothing
"""
IMPORTING = 4


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def _code(site: Site, name: str, seconds: int) -> str:
    directory = site.root / f"code-{name}"
    directory.mkdir()
    (directory / "slow_samples.py").write_text(SAMPLE.format(seconds=seconds))
    return str(directory)


def test_a_paglet_is_adopted_and_the_copy_that_comes_up_is_quarantined(site: Site) -> None:
    site.start("a", "--code-path", _code(site, "a", 0))
    address = site.wait_ready("a")
    site.start("b", "--peer", address, "--code-path", _code(site, "b", IMPORTING))
    there = site.wait_ready("b")
    agent_id = site.ask("a", "create", "slow_samples:Slow")["agent_id"]
    active = site.on("a", "transfers", "adopt", agent_id, "--fence")
    assert (active.code, "is not in doubt: it is active here" in active.err) == (1, True)
    left = site.on("a", "dispatch", agent_id, there, "--timeout", "0.5")
    assert (left.code, "in doubt" in left.err or "not known" in left.err) == (1, True)
    (transfer,) = site.ask("a", "transfers")
    assert {"transfer_id", "agent_id", "peer", "direction", "status"} <= transfer.keys()
    assert transfer["status"] == "in-doubt"
    kept = site.on("a", "dispose", agent_id)
    assert (kept.code, "dispose of it when that is settled" in kept.err) == (1, True)
    refused = site.on("a", "transfers", "adopt", transfer["transfer_id"])
    assert (refused.code, "--fence says that you know that b is lost" in refused.err) == (1, True)
    adopted = site.on("a", "transfers", "adopt", transfer["transfer_id"], "--fence")
    assert adopted.out.startswith(f"{agent_id} is active here, in lineage 1\n"), adopted.err
    again = site.on("a", "transfers", "adopt", transfer["transfer_id"], "--fence")
    assert (again.code, "was adopted before" in again.err) == (1, True)
    assert [each["status"] for each in site.ask("a", "transfers", "list")] == ["abandoned"]
    (kept,) = site.until(lambda: site.ask("b", "quarantine"), "the copies have met")
    assert (kept["agent_id"], kept["status"], kept["lineage"]) == (agent_id, "quarantined", 0)
    assert agent_id[:8] in site.on("b", "quarantine", "list").out
    site.until(lambda: site.ask("a", "transfers") == [], "it is settled")
    assert [each["status"] for each in site.ask("b", "ps")] == ["quarantined"]
    shown = {(each["host_name"], each["status"]) for each in site.ask("a", "ps", "--all")}
    assert shown == {("a", "active"), ("b", "quarantined")}
    meant = site.on("b", "quarantine", "adopt", agent_id)
    assert (meant.code, "makes two of it" in meant.err) == (1, True)
    assert "is gone" in site.on("b", "quarantine", "drop", agent_id[:8]).out
    assert site.ask("b", "quarantine") == []
    assert "No copy" in site.on("b", "quarantine").out


@pytest.mark.parametrize(
    "words",
    [
        ("transfers", "list", "x"),
        ("transfers", "--fence"),
        ("transfers", "adopt"),
        ("quarantine", "list", "x"),
        ("quarantine", "adopt"),
        ("quarantine", "drop"),
        ("quarantine", "drop", "x", "--fence"),
    ],
    ids=" ".join,
)
def test_what_belongs_to_what_is_said(site: Site, words: tuple[str, ...]) -> None:
    assert site.on("a", *words).code == 2
