"""Every command with what makes no sense: an exit code that scripts can use, a sentence, and nothing lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.appliance.machines import NOTEBOOK, Machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.site import Result

BAD_IDS = {
    "unknown": "no-such-paglet",
    "empty": "",
    "a space": "a b",
    "a new line": "a\nb",
    "an escape": "\x1b[31mred",
    "a path": "../../etc/passwd",
    "a bidirectional trick": "abc\u202etxt",
    "very long": "x" * 5000,
    "no host behind": "kept@",
    "no id before": "@here",
    "an unknown host": "kept@nowhere",
    "a foreign URL": "kept@https://127.0.0.1:1",
    "a star": "*",
    "a percent": "%00",
    "an option": "--",
}
ON_ONE = {
    "info": [], "state": [], "logs": [], "deactivate": [], "activate": [], "dispose": [], "retract": [], "clone": [],
    "dispatch": ["here"], "send": ["read"],
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """One host, with one paglet that has to be there, unchanged, at the end."""
    machines = Machines(tmp_path_factory.mktemp("site"))
    try:
        machines.boot("here", "--bind", "127.0.0.1", "--no-discovery")
        machines.wait_ready("here")
        machines.ask("here", "create", NOTEBOOK, "--id", "kept", "--init", '"precious"')
        yield machines
        (line,) = machines.ask("here", "ps")
        assert (line["agent_id"], line["status"], line["epoch"]) == ("kept", "active", 1)
        assert machines.ask("here", "send", "kept", "read")["reply"] == ["precious"]
        assert machines.ask("here", "transfers") == []
    finally:
        machines.close()


def refused(done: Result, *, code: tuple[int, ...] = (1, 2)) -> None:
    """With a sentence or two on stderr, and nothing on stdout."""
    assert done.code in code, done
    assert done.out == "", done
    assert done.err.startswith("paglets: "), done
    assert done.err.count("\n") == 1, done
    assert len(done.err) < 2500, done
    assert done.err.strip().isprintable(), done
    assert "fault of ours" not in done.err, done


@pytest.mark.parametrize("command", ON_ONE)
def test_ids_that_name_nothing(site: Machines, command: str) -> None:
    for bad in BAD_IDS.values():
        refused(site.on("here", command, bad, *ON_ONE[command]))
        refused(site.on("here", command, bad, *ON_ONE[command], "--json"))


def test_hosts_that_are_none(site: Machines) -> None:
    for bad in ("nowhere", "", " ", "https://", "https://127.0.0.1:1", "http://127.0.0.1:80", "unix:/no/such.sock",
                "ftp://x:1", "here\n", "https://[::1", "x" * 3000, "https://127.0.0.1:99999", "../x"):  # fmt: skip
        refused(site.on("here", "dispatch", "kept", bad))
        if bad:  # with nothing it is made here
            refused(site.on("here", "clone", "kept", bad))
        refused(site.on("here", "create", NOTEBOOK, "--on", bad))


def test_a_name_that_no_host_has_is_told_with_those_that_there_are(site: Machines) -> None:
    for words in (
        ["dispatch", "kept", "nowhere"],
        ["create", NOTEBOOK, "--on", "nowhere"],
        ["info", "kept@nowhere"],
    ):
        assert "known: here" in site.on("here", *words).err


def test_classes_that_are_none(site: Machines) -> None:
    for bad in ("", "x", "x:", ":x", "os:system", "os:path", "subprocess:Popen", "cli_samples:Nobody",
                "cli_samples:sys", "no.such.module:X", "paglets.core.agent:Paglet", "__main__:X", "a b:C",
                "cli_samples:NotebookState",
                "x" * 3000 + ":Y", "tests.security.samples:Quiet"):  # fmt: skip
        refused(site.on("here", "create", bad))


def test_values_that_are_no_json_or_do_not_fit(site: Machines) -> None:
    deep = "[" * 5000 + "]" * 5000
    for words in (
        ("create", NOTEBOOK, "--state", "{"),
        ("create", NOTEBOOK, "--state", "null"),
        ("create", NOTEBOOK, "--state", '{"title": 5}'),
        ("create", NOTEBOOK, "--state", '{"lines": "x"}'),
        ("create", NOTEBOOK, "--state", '{"lines": [1]}'),
        ("create", NOTEBOOK, "--state", f'{{"lines": {deep}}}'),
        ("create", NOTEBOOK, "--init", "nonsense"),
        ("create", NOTEBOOK, "--init", deep * 10),
        ("create", NOTEBOOK, "--id", "kept"),
        ("create", NOTEBOOK, "--id", "a b"),
        ("create", NOTEBOOK, "--id", "../x"),
        ("create", NOTEBOOK, "--id", "x" * 200),
        ("send", "kept", "echo", "[1]"),
        ("send", "kept", "echo", "{}{}"),
        ("send", "kept", "echo", '{"a": NaN}'),
        ("send", "kept", "echo", "--arg", "{'x': 1}"),
        ("send", "kept", ""),
        ("send", "kept", "no-such-kind"),
        ("send", "kept", "fail"),
        ("send", "kept", "echo", "--timeout", "-1"),
        ("send", "kept", "echo", "--timeout", "nan"),
        ("send", "kept", "echo", "--timeout", "x"),
        ("send", "kept", "_dispatch"),
        ("send", "kept", "_dispatch", '{"target": "nowhere"}'),
        ("send", "kept", "_deactivate", '{"policy": 5}'),
        ("events", "--since", "x"),
        ("events", "--since", "-5"),
        ("logs", "kept", "kept"),
        ("ps", "kept"),
        ("status", "--since", "1"),
        ("frobnicate",),
    ):
        refused(site.on("here", *words))


def test_no_host_is_exit_code_3_for_every_command(site: Machines) -> None:
    commands = [[name, "kept", *more] for name, more in ON_ONE.items()]
    commands += [[name] for name in ("status", "hosts", "ps", "transfers", "events")]
    commands += [["create", NOTEBOOK], ["ps", "--all"], ["events", "--follow"], ["logs", "kept", "--follow"]]
    for words in commands:
        for more in ([], ["--json"]):
            refused(site.on("nobody", *words, *more), code=(3,))


def test_what_succeeds_prints_one_json_document(site: Machines) -> None:
    for words in (["status"], ["hosts"], ["ps"], ["ps", "--all"], ["info", "kept"], ["state", "kept"], ["transfers"],
                  ["events"], ["logs", "kept"], ["send", "kept", "read"]):  # fmt: skip
        done = site.on("here", *words, "--json")
        assert (done.code, done.err) == (0, "")
        json.loads(done.out)
