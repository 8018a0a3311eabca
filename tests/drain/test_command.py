"""`paglets drain` against real hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTEBOOK = "cli_samples:Notebook"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        site.start("alpha")
        address = site.wait_ready("alpha")
        site.start("beta", "--peer", address)
        site.wait_ready("beta")
        for name in ("alpha", "beta"):
            site.until(lambda name=name: len(site.ask(name, "hosts")) == 2, "they know each other")
        yield site
    finally:
        site.close()


def test_it_tells_where_each_went_and_what_to_do_then(pair: Site) -> None:
    agent_id = pair.ask("alpha", "create", NOTEBOOK)["agent_id"]
    done = pair.on("alpha", "drain")
    assert done.code == 0, done.err
    assert f"{agent_id} is on beta now" in done.out
    assert "1 moved" in done.out
    assert "`paglets drain alpha --undo`" in done.out
    assert "draining" in pair.on("alpha", "hosts").out
    assert "--undo" in pair.on("alpha", "status").out
    refused = pair.on("alpha", "create", NOTEBOOK)
    assert refused.code == 1
    assert "being drained" in refused.err

    assert "takes paglets in again" in pair.on("beta", "drain", "alpha", "--undo").out
    assert pair.ask("alpha", "create", NOTEBOOK)["agent_id"]


def test_another_host_is_drained_by_name_and_programs_get_one_document(pair: Site) -> None:
    agent_id = pair.ask("beta", "create", NOTEBOOK)["agent_id"]
    document = pair.ask("alpha", "drain", "beta", "--to", "alpha")
    assert document["host"] == "beta"
    assert agent_id in {move["agent_id"] for move in document["moved"]}
    assert {move["host_name"] for move in document["moved"]} == {"alpha"}
    assert (document["failed"], document["draining"]) == ([], True)
    pair.ask("beta", "drain", "--undo")


def test_what_could_not_be_moved_makes_it_fail(pair: Site) -> None:
    agent_id = pair.ask("alpha", "create", NOTEBOOK)["agent_id"]
    pair.ask("beta", "drain", "--to", "alpha")
    try:
        pair.until(
            lambda: any(each["properties"].get("draining") for each in pair.ask("alpha", "hosts")),
            "alpha knows that beta is drained",
        )
        done = pair.on("alpha", "drain")
        assert done.code == 1
        assert agent_id in done.err
        assert "no other host" in done.err
    finally:
        pair.ask("beta", "drain", "--undo")
        pair.ask("alpha", "drain", "--undo")


def test_to_and_undo_exclude_each_other(pair: Site) -> None:
    assert pair.on("alpha", "drain", "--undo", "--to", "beta").code == 2
