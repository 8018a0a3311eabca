"""`paglets outbox` and `paglets dead-letters`, against hosts in processes of their own."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS = str(Path(__file__).parent / "cli_agents")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def test_what_waits_is_listed_and_what_died_can_be_replayed_and_dropped(site: Site) -> None:
    site.start("a", "--code-path", AGENTS)
    address = site.wait_ready("a")
    site.start("b", "--peer", address)
    there = site.wait_ready("b")
    sender = site.ask("a", "create", "outbox_samples:Sender")["agent_id"]
    site.stop("b")
    assert site.ask("a", "outbox") == []
    assert "Nothing waits" in site.on("a", "outbox").out
    assert site.on("a", "send", sender, "send", f'{{"agent_id": "nobody", "host_url": "{there}"}}').code == 0
    (waiting,) = site.ask("a", "outbox")
    assert (waiting["agent_id"], waiting["kind"], waiting["sender"]) == ("nobody", "hello", sender)
    assert "nobody" in site.on("a", "outbox").out
    port = there.rpartition(":")[2]
    site.start("b", "--peer", address, "--port", port)
    site.wait_ready("b")
    (dead,) = site.until(lambda: site.ask("a", "dead-letters"), "the message is refused")
    assert "there is no paglet nobody" in dead["reason"]
    assert "there is no paglet" in site.on("a", "dead-letters", "list").out
    assert site.on("a", "dead-letters", "replay", str(dead["number"])).out == "on its way again\n"
    (again,) = site.until(lambda: site.ask("a", "dead-letters"), "it is refused again")
    assert again["number"] > dead["number"]
    assert site.on("a", "dead-letters", "drop", str(again["number"])).out == "dropped\n"
    assert site.ask("a", "dead-letters") == []
    gone = site.on("a", "dead-letters", "drop", str(again["number"]))
    assert (gone.code, "no dead letter" in gone.err) == (1, True)


@pytest.mark.parametrize("words", [("list", "3"), ("replay",), ("drop",)], ids=" ".join)
def test_numbers_belong_to_replay_and_drop(site: Site, words: tuple[str, ...]) -> None:
    done = site.on("a", "dead-letters", *words)
    assert done.code == 2
    assert "NUMBER" in done.err


def test_a_paglet_is_queued_for_a_host_that_is_away_and_moves_when_it_is_back(site: Site) -> None:
    site.start("a", "--code-path", AGENTS)
    address = site.wait_ready("a")
    site.start("b", "--peer", address, "--code-path", AGENTS)
    there = site.wait_ready("b")
    sender = site.ask("a", "create", "outbox_samples:Sender")["agent_id"]
    site.stop("b", signal.SIGKILL)
    refused = site.on("a", "dispatch", sender, there)
    assert refused.code == 1
    queued = site.ask("a", "dispatch", sender, there, "--queue")
    assert queued == {"agent_id": sender, "host_url": address, "queued": True}
    assert "moves when" in site.on("a", "dispatch", sender, there, "--queue").out
    (waiting,) = site.ask("a", "outbox")
    assert (waiting["what"], waiting["agent_id"], waiting["host_url"]) == ("paglet", sender, there)
    assert sender in site.on("a", "outbox").out
    assert [each["status"] for each in site.ask("a", "ps")] == ["queued"]
    assert [each["status"] for each in site.ask("a", "transfers")] == ["queued"]
    site.stop("a", signal.SIGKILL)
    site.start("a", "--code-path", AGENTS, "--port", address.rpartition(":")[2])
    site.wait_ready("a")
    assert [each["status"] for each in site.ask("a", "ps")] == ["queued"]
    site.start("b", "--peer", address, "--port", there.rpartition(":")[2], "--code-path", AGENTS)
    site.wait_ready("b")
    site.until(lambda: [each["agent_id"] for each in site.ask("b", "ps")] == [sender], "it is at b")
    assert site.ask("a", "ps") == []
    assert site.ask("a", "outbox") == []
    assert site.ask("b", "info", sender)["status"] == "active"
