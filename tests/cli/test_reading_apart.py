"""The command line of `paglets host` is read by a process that is gone before the host begins."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.hosting import is_host

if TYPE_CHECKING:
    from pathlib import Path

# What runs a host is replaced by what tells with which settings it would have, and what is loaded by then.
_TELL = """
import json, sys
from edge import appliance, hosting

def run(settings, *, prepared=False):
    print(json.dumps({
        "name": settings.name, "data_dir": str(settings.data_dir), "paths": [str(each) for each in settings.code_paths],
        "properties": settings.properties, "json": settings.as_json, "peers": settings.peers, "port": settings.port,
        "loaded": sorted(sys.modules),
    }))
    return 7

appliance.run = run
sys.exit(hosting.host(sys.argv[1:]))
"""


def _host(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _TELL, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_host_gets_its_settings_and_loads_no_command(tmp_path: Path) -> None:
    odd = tmp_path / "odd \udce9 name"
    odd.mkdir()
    done = _host(
        "--data-dir", str(tmp_path), "--json", "host", "--name", "kitchen", "--port", "0", "--code-path", str(odd),
        "--property", "floor=2", "--peer", "https://10.0.0.1:7777",
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    told = json.loads(done.stdout)
    loaded = set(told.pop("loaded"))
    assert told == {
        "name": "kitchen",
        "data_dir": str(tmp_path),
        "paths": [str(odd)],
        "properties": {"floor": "2"},
        "json": True,
        "peers": ["https://10.0.0.1:7777"],
        "port": 0,
    }
    assert not loaded & {"typer", "rich", "edge.cli", "edge.cli.app"}


def test_a_wrong_command_line_ends_the_program_as_it_does_any_other(tmp_path: Path) -> None:
    done = _host("host", "--data-dir", str(tmp_path), "--peer", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--peer" in done.stderr


def test_a_reader_that_is_killed_keeps_no_host_from_running(tmp_path: Path) -> None:
    killed = "import os, signal\nfrom edge import hosting\n"
    killed += "hosting._hand_over = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    done = subprocess.run(
        [sys.executable, "-c", killed + _TELL, "host", "--data-dir", str(tmp_path), "--name", "kitchen"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout)["name"] == "kitchen"


def test_a_reader_that_fails_says_so(tmp_path: Path) -> None:
    fails = (
        "from edge.cli import app\ndef run(*_, **__): raise RuntimeError('a fault of ours')\napp.run = run\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", fails + _TELL, "host", "--data-dir", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "RuntimeError: a fault of ours" in done.stderr


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("host", True),
        ("host --name kitchen", True),
        ("--json --data-dir /tmp host", True),
        ("--data-dir=/tmp host", True),
        ("host --help", False),
        ("--data-dir host", False),
        ("--version host", False),
        ("status host", False),
        ("create --name host", False),
        ("", False),
    ],
)
def test_which_command_lines_are_those_of_a_host(line: str, is_one: bool) -> None:
    assert is_host(line.split()) is is_one
