"""How commands end when no host is involved: exit codes 2 and 3, and sentences that say what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.directories import socket_path
from edge.version import VERSION

if TYPE_CHECKING:
    from tests.cli.site import Site

WRONG = {
    "an unknown command": (["frobnicate"], "frobnicate"),
    "no command": (["--json"], "--help"),
    "a missing argument": (["info"], "ID"),
    "an unknown option": (["ps", "--frobnicate"], "--frobnicate"),
    "an option of another command": (["ps", "--since", "1"], "--since"),
    "a number that is none": (["events", "--since", "x"], "--since"),
    "a negative number": (["events", "--since", "-1"], "--since"),
    "an empty id": (["info", ""], "ID"),
    "an id without host": (["info", "x@"], "ID@HOST"),
    "no class": (["create", "nonsense"], "MODULE:CLASS"),
    "state that is no JSON": (["create", "a:B", "--state", "{"], "--state"),
    "state that is no object": (["create", "a:B", "--state", "[1]"], "an array"),
    "init that is no JSON": (["create", "a:B", "--init", "'x'"], "--init"),
    "arguments that are no JSON": (["send", "x", "k", "{'a': 1}"], "ARGS-JSON"),
    "arguments that are no object": (["send", "x", "k", "null"], "null"),
    "half of a surrogate pair in an init": (["create", "a:B", "--init", r'"\ud800"'], "--init"),
    "half of a surrogate pair in an argument": (["send", "x", "k", r'{"a": "\udc00"}'], "ARGS-JSON"),
    "a number that no host can read": (["create", "a:B", "--state", '{"n": 1e400}'], "--state"),
    "an id of nothing": (["create", "a:B", "--id", ""], "--id"),
    "an id with a space": (["create", "a:B", "--id", "a b"], "--id"),
    "a host of nothing": (["create", "a:B", "--on", ""], "names no host"),
    "a data directory of nothing": (["--data-dir", "", "status"], "directory"),
    "a data directory of nothing, behind the command": (["status", "--data-dir", ""], "directory"),
    "a data directory of nothing for a host": (["host", "--data-dir", ""], "directory"),
    "a mesh directory of nothing": (["host", "--mesh-dir", ""], "directory"),
    "a code path of nothing": (["host", "--code-path", ""], "directory"),
    "a code path that holds no code": (["host", "--code-path", __file__], "--code-path"),
    "a peer whose name is none": (["host", "--peer", "https://a..b"], "--peer"),
    "an argument that is no number": (["send", "x", "k", "--arg", "NaN"], "NaN"),
    "a text after the JSON": (["send", "x", "k", "{} {}"], "ARGS-JSON"),
    "an empty kind": (["send", "x", ""], "KIND"),
    "a timeout of nothing": (["send", "x", "k", "--timeout", "0"], "--timeout"),
    "a timeout without end": (["dispatch", "x", "y", "--timeout", "inf"], "--timeout"),
    "a timeout of more than a day": (["dispatch", "x", "y", "--timeout", "1e99"], "at most 86400 seconds"),
    "a timeout of more than a day for a retract": (["retract", "x", "--timeout", "86401"], "at most 86400"),
    "a port too large": (["host", "--port", "65536"], "--port"),
    "a property without value": (["host", "--property", "x"], "KEY=VALUE"),
    "a peer that is no URL": (["host", "--peer", "beta"], "--peer"),
    "a peer with a path": (["host", "--peer", "https://x:1/y"], "--peer"),
    "a code path that is not there": (["host", "--code-path", "/no/such"], "/no/such"),
    "a name with a space": (["host", "--name", "a b"], "letters, digits and - _ ."),
    "a name that the library refuses": (["host", "--name", "a+b"], "letters, digits and - _ ."),
    "a name too long": (["host", "--name", "x" * 64], "63"),
    "an address of nothing": (["host", "--bind", ""], "--bind"),
    "an address with an empty label": (["host", "--bind", "zzz.."], "--bind"),
    "an address with its port": (["host", "--bind", "[::1]:80"], "--bind"),
}


@pytest.mark.parametrize(("words", "told"), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_ends_with_2_and_says_what_is_wrong(site: Site, words: list[str], told: str) -> None:
    done = site.run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("paglets: ")
    assert told in done.err


def test_no_host_there_ends_with_3_and_says_how_to_start_one(site: Site) -> None:
    done = site.run("--data-dir", str(site.root / "nobody"), "status")
    assert (done.code, done.out) == (3, "")
    assert "paglets host --data-dir" in done.err


def test_without_a_directory_the_users_host_and_the_systems_are_looked_for(site: Site) -> None:
    done = site.run("ps", "--json")
    assert done.code == 3
    assert "paglets host" in done.err


def test_a_socket_that_a_killed_host_left_behind_is_no_host(site: Site) -> None:
    left = socket_path(site.root / "killed", site.environ)
    left.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(left))
    assert site.run("--data-dir", str(site.root / "killed"), "status").code == 3


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a socket of somebody else's")
def test_somebody_elses_host_is_not_talked_to(site: Site) -> None:
    (site.root / "run").chmod(0o755)
    foreign = socket_path(site.root / "foreign", site.environ)
    foreign.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(foreign))
        bound.listen()
        os.chown(foreign, 12345, 12345)
        code = (
            "import os; from pathlib import Path; from edge.cli.gateway import find_socket; os.setuid(54321)\n"
            f"find_socket(Path({str(site.root / 'foreign')!r}), os.environ)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], env=site.environ, capture_output=True, text=True, check=False
        )
    assert "another user" in done.stderr


def test_version_is_told_in_both_forms(site: Site) -> None:
    assert site.run("--version").out == f"paglets {VERSION}\n"
    assert site.run("--version", "--json").json == {"version": VERSION}


def test_a_bare_call_shows_the_help_and_ends_with_2(site: Site) -> None:
    done = site.run()
    assert done.code == 2
    assert "dispatch" in done.out + done.err
