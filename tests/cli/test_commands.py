"""Every command against real hosts, as a person or a program would give it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.site import Site

NOTEBOOK = "cli_samples:Notebook"


@pytest.fixture
def notebook(pair: Site) -> str:
    return str(pair.ask("alpha", "create", NOTEBOOK)["agent_id"])


def line_of(site: Site, agent_id: str, asked: str = "alpha") -> dict[str, Any]:
    """The paglet's only line in `ps --all`."""
    (line,) = [line for line in site.ask(asked, "ps", "--all") if line["agent_id"] == agent_id]
    return line


class TestLooking:
    def test_status_tells_who_the_host_is(self, pair: Site) -> None:
        status = pair.ask("alpha", "status")
        assert {"name", "host_id", "mesh_id", "address", "version", "ready"} <= status.keys()
        assert (status["name"], status["ready"]) == ("alpha", True)
        shown = pair.on("alpha", "status").out
        assert status["host_id"] in shown
        assert status["address"] in shown

    def test_hosts_lists_the_mesh_with_the_fields_of_a_host_reference(self, pair: Site) -> None:
        hosts = pair.ask("alpha", "hosts")
        fields = {"name", "url", "code_version", "online", "last_seen", "active_count", "inactive_count", "tags",
                  "properties"}  # fmt: skip
        assert {host["name"] for host in hosts} == {"alpha", "beta"}
        assert all(host.keys() - {"error"} == fields for host in hosts)
        assert "online" in pair.on("alpha", "hosts").out

    def test_ps_shows_the_local_host_and_all_shows_the_mesh(self, pair: Site, notebook: str) -> None:
        far = pair.ask("alpha", "create", NOTEBOOK, "--on", "beta")["agent_id"]
        local = {line["agent_id"] for line in pair.ask("alpha", "ps")}
        whole = {line["agent_id"]: line for line in pair.ask("alpha", "ps", "--all")}
        assert notebook in local
        assert far not in local
        assert {notebook, far} <= whole.keys()
        assert whole[far]["host_name"] == "beta"
        keys = {
            "agent_id",
            "class_name",
            "host_name",
            "host_url",
            "active",
            "status",
            "lineage",
            "epoch",
            "pid",
        }
        assert keys <= whole[notebook].keys()
        table = pair.on("alpha", "ps").out
        assert "STATE" in table
        assert notebook in table

    def test_resident_services_are_listed_when_asked_for(self, pair: Site) -> None:
        own = "service.server-info"
        assert own not in {line["agent_id"] for line in pair.ask("alpha", "ps")}
        pair.until(
            lambda: own in {line["agent_id"] for line in pair.ask("alpha", "ps", "--services")},
            "the services are set up",
        )
        offered = {(each["name"], each["host_name"]) for each in pair.ask("alpha", "services")}
        assert ("server-info", "alpha") in offered
        assert all(host == "alpha" for _, host in offered)
        everywhere = pair.ask("alpha", "services", "server-info", "--all")
        assert {each["host_name"] for each in everywhere} == {"alpha", "beta"}
        assert "server-info" in pair.on("alpha", "services").out

    def test_a_resident_service_is_named_with_its_host(self, pair: Site) -> None:
        asked = pair.ask("alpha", "send", "service.server-info@beta", "summary")
        assert asked["reply"]["host_name"] == "beta"
        refused = pair.on("alpha", "dispatch", "service.server-info@beta", "alpha")
        assert refused.code == 1
        assert "service" in refused.err

    def test_json_may_stand_before_the_command(self, pair: Site) -> None:
        assert pair.run("--json", "--data-dir", str(pair.data_dir("beta")), "status").json["name"] == "beta"

    def test_the_environment_picks_the_host(self, pair: Site) -> None:
        chosen = pair.run("status", "--json", PAGLETS_DATA_DIR=str(pair.data_dir("beta")))
        assert chosen.json["name"] == "beta"

    def test_transfers_is_a_list(self, pair: Site) -> None:
        assert pair.ask("alpha", "transfers") == []
        assert "No transfers" in pair.on("alpha", "transfers").out


class TestNaming:
    def test_the_beginning_of_an_id_is_enough_when_it_is_the_only_one(self, pair: Site) -> None:
        pair.ask("alpha", "create", NOTEBOOK, "--id", "prefix-one")
        pair.ask("alpha", "create", NOTEBOOK, "--id", "prefix-two")
        assert pair.ask("alpha", "info", "prefix-o")["agent_id"] == "prefix-one"
        several = pair.on("alpha", "info", "prefix-")
        assert several.code == 1
        assert "prefix-one, prefix-two" in several.err

    def test_a_whole_id_wins_over_longer_ones(self, pair: Site) -> None:
        pair.ask("alpha", "create", NOTEBOOK, "--id", "exact")
        pair.ask("alpha", "create", NOTEBOOK, "--id", "exactly")
        assert pair.ask("alpha", "info", "exact")["agent_id"] == "exact"

    def test_a_whole_id_elsewhere_wins_over_a_longer_one_here(self, pair: Site) -> None:
        pair.ask("beta", "create", NOTEBOOK, "--id", "twin")
        pair.ask("alpha", "create", NOTEBOOK, "--id", "twin-2")
        assert pair.ask("alpha", "info", "twin")["agent_id"] == "twin"
        pair.ask("alpha", "dispose", "twin")
        assert pair.ask("alpha", "info", "twin-2")["host_name"] == "alpha"
        assert "twin" not in {each["agent_id"] for each in pair.ask("beta", "ps")}

    def test_beginnings_have_to_be_unique_on_all_hosts(self, pair: Site) -> None:
        pair.ask("beta", "create", NOTEBOOK, "--id", "double-b")
        pair.ask("alpha", "create", NOTEBOOK, "--id", "double-a")
        several = pair.on("alpha", "info", "double")
        assert several.code == 1
        assert "double-a, double-b" in several.err

    def test_what_only_begins_so_is_not_changed_in_place_of_one_whose_host_is_away(self, pair: Site) -> None:
        pair.ask("alpha", "create", NOTEBOOK, "--id", "lamp.10")
        for command in (["dispose"], ["deactivate"], ["dispatch", "beta"], ["send", "read"]):
            said = pair.on("alpha", command[0], "lamp.1", *command[1:])
            assert said.code == 1
            assert "only lamp.10; if that is meant, write its id whole" in said.err
        assert pair.ask("alpha", "info", "lamp.1")["status"] == "active"
        made = pair.ask("alpha", "create", NOTEBOOK)["agent_id"]
        assert pair.ask("alpha", "dispose", made[:12])["agent_id"] == made

    def test_a_paglet_elsewhere_is_reached_by_its_id(self, pair: Site) -> None:
        pair.ask("beta", "create", NOTEBOOK, "--id", "far-away", "--init", '"hello"')
        assert pair.ask("alpha", "send", "far-away", "read") == {"reply": ["hello"]}
        assert pair.ask("alpha", "state", "far-aw")["state"]["lines"] == ["hello"]

    def test_a_host_may_be_named(self, pair: Site) -> None:
        pair.ask("beta", "create", NOTEBOOK, "--id", "at-beta")
        assert pair.ask("alpha", "info", "at-beta@beta")["host_name"] == "beta"
        assert pair.on("alpha", "info", "at-beta@alpha").code == 1
        unknown = pair.on("alpha", "info", "at-beta@nowhere")
        assert unknown.code == 1
        assert "nowhere" in unknown.err

    def test_an_unknown_id_is_said_to_be_unknown(self, pair: Site) -> None:
        for command in ("info", "state", "deactivate", "activate", "dispose", "retract", "logs"):
            done = pair.on("alpha", command, "no-such-paglet")
            assert (done.code, done.out) == (1, "")
            assert "no-such-paglet" in done.err


class TestLiving:
    def test_create_takes_state_init_and_id(self, pair: Site) -> None:
        made = pair.ask(
            "alpha", "create", NOTEBOOK, "--id", "mine", "--state", '{"title": "t"}', "--init", '"first"'
        )
        assert made == {"agent_id": "mine", "host_url": pair.ask("alpha", "status")["address"]}
        shown = pair.ask("alpha", "state", "mine")
        assert shown == {"active": True, "state": {"title": "t", "lines": ["first"]}}

    def test_a_move_there_and_back(self, pair: Site, notebook: str) -> None:
        pair.ask("alpha", "send", notebook, "note", '{"text": "here"}')
        moved = pair.ask("alpha", "dispatch", notebook, "beta")
        assert moved == {"agent_id": notebook, "host_url": pair.ask("beta", "status")["address"]}
        assert line_of(pair, notebook)["host_name"] == "beta"
        back = pair.ask("alpha", "retract", notebook)
        assert back["host_url"] == pair.ask("alpha", "status")["address"]
        assert pair.ask("beta", "send", notebook, "read")["reply"] == ["here"]

    def test_a_paglet_on_another_host_is_moved_from_here(self, pair: Site) -> None:
        made = pair.ask("alpha", "create", NOTEBOOK, "--on", "beta")["agent_id"]
        pair.ask("alpha", "dispatch", made, "alpha")
        assert line_of(pair, made)["host_name"] == "alpha"

    def test_clones_stay_or_go(self, pair: Site, notebook: str) -> None:
        beside = pair.ask("alpha", "clone", notebook)
        there = pair.ask("alpha", "clone", notebook, "beta")
        assert line_of(pair, beside["agent_id"])["host_name"] == "alpha"
        assert line_of(pair, there["agent_id"])["host_name"] == "beta"

    def test_parked_and_woken(self, pair: Site, notebook: str) -> None:
        assert pair.ask("beta", "deactivate", notebook)["agent_id"] == notebook
        parked = line_of(pair, notebook)
        assert (parked["status"], parked["active"], parked["pid"]) == ("inactive", False, None)
        pair.ask("alpha", "activate", notebook)
        woken = line_of(pair, notebook)
        assert (woken["status"], woken["active"]) == ("active", True)
        assert woken["epoch"] > parked["epoch"] - 1

    def test_disposed_is_gone(self, pair: Site, notebook: str) -> None:
        assert pair.ask("alpha", "dispose", notebook)["disposed"] is True
        assert pair.on("alpha", "info", notebook).code == 1

    def test_people_get_sentences(self, pair: Site, notebook: str) -> None:
        assert "on beta now" in pair.on("alpha", "dispatch", notebook, "beta").out
        assert "parked on beta" in pair.on("alpha", "deactivate", notebook).out
        assert "no more" in pair.on("alpha", "dispose", notebook).out

    def test_what_cannot_be_done_is_said_in_a_sentence(self, pair: Site, notebook: str) -> None:
        for words in (
            ("create", "no_such_module:Nobody"),
            ("create", "cli_samples:Nobody"),
            ("create", "os:path"),
            ("create", NOTEBOOK, "--state", '{"lines": 5}'),
            ("create", NOTEBOOK, "--id", notebook),
            ("create", NOTEBOOK, "--on", "nowhere"),
            ("dispatch", notebook, "nowhere"),
            ("dispatch", notebook, "https://127.0.0.1:1"),
            ("clone", notebook, "nowhere"),
            ("send", notebook, "unheard-of"),
        ):
            done = pair.on("alpha", *words)
            assert (done.code, done.out) == (1, ""), words
            assert done.err.startswith("paglets: ")
            assert done.err.count("\n") == 1
        assert line_of(pair, notebook)["status"] == "active"


class TestSending:
    def test_arguments_go_and_the_reply_comes_back(self, pair: Site, notebook: str) -> None:
        sent = pair.ask("alpha", "send", notebook, "echo", '{"a": [1, null], "ü": 1e300}', "--arg", "[true]")
        assert sent == {"reply": {"args": {"a": [1, None], "ü": 1e300}, "arg": [True]}}

    def test_replies_are_shown_plainly(self, pair: Site, notebook: str) -> None:
        assert pair.on("alpha", "send", notebook, "note", '{"text": "x"}').out == "1\n"

    def test_one_way_does_not_wait(self, pair: Site, notebook: str) -> None:
        assert pair.ask("alpha", "send", notebook, "note", '{"text": "x"}', "--oneway")["reply"] is None
        pair.until(lambda: pair.ask("alpha", "send", notebook, "read")["reply"] == ["x"], "it is noted")

    def test_an_error_in_the_handler_is_the_answer(self, pair: Site, notebook: str) -> None:
        done = pair.on("alpha", "send", notebook, "fail")
        assert done.code == 1
        assert done.err == "paglets: ValueError: the pencil is broken\n"


class TestWatching:
    def test_events_from_a_number_on(self, pair: Site, notebook: str) -> None:
        events = pair.ask("alpha", "events")
        assert [event["event_id"] for event in events] == sorted(event["event_id"] for event in events)
        assert any(event["kind"] == "create" and event["agent_id"] == notebook for event in events)
        last = events[-1]["event_id"]
        assert [event["event_id"] for event in pair.ask("alpha", "events", "--since", str(last - 1))] == [
            last
        ]
        assert "create" in pair.on("alpha", "events").out

    def test_follow_prints_one_document_a_line_as_things_happen(self, pair: Site) -> None:
        last = pair.ask("alpha", "events")[-1]["event_id"]
        command = [sys.executable, "-m", "edge", "--data-dir", str(pair.data_dir("alpha")), "events", "--follow",
                   "--json", "--since", str(last)]  # fmt: skip
        with subprocess.Popen(command, env=pair.environ, stdout=subprocess.PIPE, text=True) as watching:
            try:
                made = pair.ask("alpha", "create", NOTEBOOK)["agent_id"]
                assert watching.stdout is not None
                event = json.loads(watching.stdout.readline())
                assert (event["kind"], event["agent_id"], event["event_id"]) == ("create", made, last + 1)
            finally:
                watching.terminate()

    def test_logs_are_what_the_paglet_printed_wherever_it_is(self, pair: Site, notebook: str) -> None:
        pair.ask("alpha", "send", notebook, "note", '{"text": "\\u001b[31mred"}')
        pair.until(lambda: pair.ask("alpha", "logs", notebook), "its output has arrived")
        (line,) = pair.ask("beta", "logs", notebook)
        assert line["line"] == "noted: \x1b[31mred"
        assert line.keys() >= {"seq", "time", "line"}
        assert pair.on("alpha", "logs", notebook).out == "noted: \\x1b[31mred\n", (
            "no paglet drives the terminal"
        )


def test_every_command_has_help(site: Site) -> None:
    for command in ("host", "status", "hosts", "ps", "info", "state", "transfers", "events", "logs", "create", "send",
                    "dispatch", "clone", "retract", "deactivate", "activate", "dispose"):  # fmt: skip
        done = site.run(command, "--help")
        assert done.code == 0
        assert "--json" in done.out
