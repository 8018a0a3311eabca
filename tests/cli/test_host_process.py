"""`paglets host` as service managers and people start and stop it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.directories import host_data_dir

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.site import Site


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    """A service manager's socket."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(tmp_path / "notify"))
    bound.settimeout(20)
    return bound


def told(manager: socket.socket) -> dict[str, str]:
    """What the service says next."""
    lines = manager.recv(4096).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_ready_and_stops_cleanly(site: Site, manager: socket.socket, number: signal.Signals) -> None:
    name = f"service-{number.name.lower()}"
    with manager:
        site.start(name, "--data-dir", str(site.data_dir(name)), NOTIFY_SOCKET=manager.getsockname())
        ready = told(manager)
        assert ready["READY"] == "1"
        address = site.ask(name, "status")["address"]
        assert address in ready["STATUS"]
        made = site.ask(name, "create", "cli_samples:Notebook")["agent_id"]
        pid = site.ask(name, "info", made)["pid"]
        assert site.stop(name, number) == 0
        assert told(manager)["STOPPING"] == "1"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "ready" in site.log(name)
    assert site.on(name, "status").code == 3


def test_what_was_active_is_there_again_after_a_restart(site: Site) -> None:
    site.start("again")
    site.wait_ready("again")
    made = site.ask("again", "create", "cli_samples:Notebook", "--init", '"kept"')["agent_id"]
    assert site.stop("again") == 0
    site.start("again")
    site.wait_ready("again")
    assert site.ask("again", "send", made, "read")["reply"] == ["kept"]
    assert site.stop("again") == 0


def test_systemds_directory_comes_before_the_environments(site: Site) -> None:
    first, second = site.root / "state", site.root / "variable"
    site.start("placed", STATE_DIRECTORY=f"{first}:{site.root}/other", PAGLETS_DATA_DIR=str(second))
    site.until(
        lambda: site.run("--data-dir", str(first), "status").code == 0, "it runs in the first directory"
    )
    assert site.run("--data-dir", str(first), "status", "--json").json["data_dir"] == str(first)
    assert not second.exists()
    assert site.stop("placed") == 0


def test_a_second_host_in_the_same_directory_is_refused_in_a_sentence(site: Site) -> None:
    site.start("single")
    site.wait_ready("single")
    command = [sys.executable, "-m", "edge", "host", "--data-dir", str(site.data_dir("single")), "--port", "0",
               "--bind", "127.0.0.1", "--no-discovery"]  # fmt: skip
    second = subprocess.run(
        command, env=site.environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert second.returncode == 1
    assert str(site.data_dir("single")) in second.stderr
    assert "Traceback" not in second.stderr
    assert site.ask("single", "status")["ready"] is True
    assert site.stop("single") == 0


def test_its_own_status_is_told_on_stdout_when_asked_for_json(site: Site) -> None:
    command = [sys.executable, "-m", "edge", "host", "--name", "told", "--data-dir", str(site.data_dir("told")),
               "--port", "0", "--bind", "127.0.0.1", "--no-discovery", "--json"]  # fmt: skip
    with subprocess.Popen(
        command, env=site.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert b'"name": "told"' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b""
        assert process.wait(30) == 0


def test_the_default_directory_is_the_users(site: Site) -> None:
    assert host_data_dir(None, {}).name == "paglets"


def test_a_first_start_makes_the_launch_configuration_which_is_the_operators_from_then_on(site: Site) -> None:
    site.start("fresh")
    site.wait_ready("fresh")
    file = site.data_dir("fresh") / "launch.toml"
    assert "resident_services" in file.read_text()
    assert site.stop("fresh") == 0
    file.write_text('[[startup_agents]]\nclass = "cli_samples:Notebook"\nagent_id = "book"\n')
    site.start("fresh")
    site.wait_ready("fresh")
    site.until(lambda: "book" in {each["agent_id"] for each in site.ask("fresh", "ps")}, "it is created")
    site.until(lambda: site.ask("fresh", "services") == [], "nothing is kept any more")
    kept = site.ask("fresh", "ps", "--services")
    assert [each["agent_id"] for each in kept if each["active"]] == ["book"]
    assert "Notebook" in file.read_text()


def test_a_launch_configuration_that_is_wrong_is_named(site: Site) -> None:
    wrong = site.root / "wrong.toml"
    wrong.write_text('[[resident_services]]\nuse = "nobody"\n')
    process = site.start("wrong", "--launch-config", str(wrong))
    assert process.wait(20) == 1
    assert f"{wrong}: [[resident_services]] number 1, key 'use'" in site.log("wrong")
    assert site.run("host", "--launch-config", str(site.root / "none.toml")).code == 2


def test_the_launch_configuration_can_be_made_beforehand(site: Site) -> None:
    made = site.ask("beforehand", "launch-config")
    assert made["action"] == "copied"
    assert (site.data_dir("beforehand") / "launch.toml").exists()
    assert "unchanged" in site.on("beforehand", "launch-config", "--json").out
