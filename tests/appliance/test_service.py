"""`paglets host` as a service: how it stops, and how it says that it cannot start. No network is needed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.appliance.machines import NOTEBOOK, ROOT, Machines
from tests.standstill import go_on, stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUSY = """
import time
from dataclasses import dataclass
from paglets.core.agent import Paglet, PagletState


@dataclass
class S(PagletState):
    n: int = 0


class Busy(Paglet[S]):
    State = S

    def handle_message(self, message):
        while True:
            self.state.n += 1
"""


def start(machines: Machines, name: str, *options: str) -> subprocess.Popen[bytes]:
    process = machines.boot(name, "--bind", "127.0.0.1", "--no-discovery", *options)
    machines.wait_ready(name)
    return process


def test_a_second_signal_ends_it_at_once_and_nothing_is_left(machines: Machines, tmp_path: Path) -> None:
    """The first one waits for a paglet that does not come to rest, with a bound; an operator may not want to."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "busy_code.py").write_text(BUSY)
    process = start(machines, "stubborn", "--code-path", str(code))
    made = machines.ask("stubborn", "create", "busy_code:Busy")["agent_id"]
    machines.on("stubborn", "send", made, "spin", "--oneway")
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 2  # the zygote and the paglet
    process.send_signal(signal.SIGTERM)
    machines.until(lambda: "stopping" in machines.log("stubborn"), "the first signal is heard")
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 2
    machines.until(lambda: not any(each.is_running() for each in below), "its processes are gone")
    del machines.hosts["stubborn"]
    start(machines, "stubborn", "--code-path", str(code))
    assert machines.line_of("stubborn", made)["status"] == "active"


@pytest.mark.slow
def test_after_a_kill_its_processes_end_and_its_paglets_come_back(machines: Machines) -> None:
    process = start(machines, "killed")
    made = machines.ask("killed", "create", NOTEBOOK, "--init", '"kept"')["agent_id"]
    below = psutil.Process(process.pid).children(recursive=True)
    assert machines.stop("killed", signal.SIGKILL) == -signal.SIGKILL
    machines.until(lambda: not any(each.is_running() for each in below), "its processes are gone")
    start(machines, "killed")
    assert machines.ask("killed", "send", made, "read")["reply"] == ["kept"]


def test_a_port_in_use_is_told_and_nothing_is_left_behind(machines: Machines) -> None:
    data = machines.data_dir("blocked")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = machines.attempt("--data-dir", str(data), "--port", port)
    assert done.returncode == 1
    assert f"127.0.0.1 port {port}" in done.stderr
    assert "another port" in done.stderr
    assert_told(done)
    assert machines.on("blocked", "status").code == 3


@pytest.mark.slow
def test_an_address_that_is_not_this_machines_is_told(machines: Machines) -> None:
    done = machines.attempt("--data-dir", str(machines.data_dir("away")), "--bind", "192.0.2.250")
    assert done.returncode == 1
    assert "192.0.2.250" in done.stderr
    assert_told(done)


def damage_key(data: Path, mesh: Path) -> str:
    (data / "host.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nnonsense\n")
    return str(data / "host.key")


def open_key(data: Path, mesh: Path) -> str:
    (data / "host.key").chmod(0o644)
    return str(data / "host.key")


def damage_certificate(data: Path, mesh: Path) -> str:
    (mesh / "authority.crt").write_text("nonsense")
    return str(mesh / "authority.crt")


def open_authority(data: Path, mesh: Path) -> str:
    (mesh / "authority.key").chmod(0o640)
    return str(mesh / "authority.key")


def open_mesh(data: Path, mesh: Path) -> str:
    mesh.chmod(0o777)
    return str(mesh)


def lose_certificate(data: Path, mesh: Path) -> str:
    (mesh / "authority.crt").unlink()
    (mesh / "hosts").mkdir()
    return str(mesh)


def take_the_key_away(data: Path, mesh: Path) -> str:
    (mesh / "authority.key").unlink()
    return str(mesh)


def damage_store(data: Path, mesh: Path) -> str:
    (data / "store" / "store.lmdb").write_bytes(b"\xff" * 8192)
    return str(data / "store")


def foreign_file_for_store(data: Path, mesh: Path) -> str:
    for file in (data / "store").iterdir():
        file.unlink()
    (data / "store").rmdir()
    (data / "store").write_text("not a directory")
    return str(data / "store")


@pytest.mark.parametrize(
    "harm",
    [
        damage_key,
        open_mesh,
        damage_store,
        *(
            pytest.param(harm, marks=pytest.mark.slow)
            for harm in (
                open_key,
                damage_certificate,
                open_authority,
                lose_certificate,
                take_the_key_away,
                foreign_file_for_store,
            )
        ),
    ],
    ids=lambda harm: harm.__name__,
)
def test_damaged_files_are_named_with_what_to_do(
    machines: Machines, seasoned: Path, harm: Callable[[Path, Path], str]
) -> None:
    copy(seasoned, machines.root)
    named = harm(machines.root / "host", machines.root / "mesh")
    done = machines.attempt("--data-dir", str(machines.root / "host"))
    assert done.returncode == 1, done.stderr
    assert named in done.stderr
    assert_told(done)


@pytest.fixture(scope="module")
def seasoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and mesh directory of a host that has run."""
    machines = Machines(tmp_path_factory.mktemp("seasoned"))
    try:
        start(machines, "host")
        machines.ask("host", "create", NOTEBOOK)
        machines.stop("host")
    finally:
        machines.close()
    return machines.root


def copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source / "host"), str(source / "mesh"), str(target)], check=True)


@pytest.mark.slow
def test_a_data_directory_that_cannot_be_is_told(machines: Machines, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = machines.attempt("--data-dir", str(tmp_path / "file" / "data"))
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr
    assert_told(done)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_a_data_directory_on_a_read_only_file_system_is_told(machines: Machines, tmp_path: Path) -> None:
    place = tmp_path / "card"
    place.mkdir()
    mounted = f"mount -t tmpfs -o ro none {place}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    command = (
        f"{mounted} && exec {sys.executable} -m edge host --port 0 --no-discovery --data-dir {place}/data"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command],
        env=machines.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert str(place) in done.stderr
    assert_told(done)


def assert_told(done: subprocess.CompletedProcess[str]) -> None:
    """In a line or two that a person understands."""
    assert "Traceback" not in done.stderr
    assert "fault of ours" not in done.stderr
    assert len(done.stderr) < 600, done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_host_that_does_not_answer_in_time_is_told_by_the_command(machines: Machines) -> None:
    process = start(machines, "frozen")
    made = machines.ask("frozen", "create", NOTEBOOK)["agent_id"]
    stop(process.pid)
    try:
        done = machines.on("frozen", "send", made, "read", "--timeout", "0.5")
    finally:
        go_on(process.pid)
    assert done.code in {1, 3}
    assert done.err.startswith("paglets: ")
    assert machines.ask("frozen", "send", made, "read")["reply"] == []


def test_it_tells_a_watchdog_that_it_is_well(machines: Machines, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        machines.boot(
            "watched", "--bind", "127.0.0.1", "--no-discovery",
            NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000",
        )  # fmt: skip
        assert b"READY=1" in manager.recv(4096)
        assert [manager.recv(4096) for _ in range(2)] == [b"WATCHDOG=1"] * 2
        process = machines.hosts["watched"]
        stop(process.pid)
        manager.settimeout(0.6)
        try:
            told = iter(lambda: manager.recv(4096), b"")
            with pytest.raises(TimeoutError):
                list(told)
        finally:
            go_on(process.pid)


def test_hosts_of_one_machine_find_each_other_without_multicast(machines: Machines) -> None:
    """The port of mDNS is taken by somebody who does not share it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as selfish:
        try:
            selfish.bind(("", 5353))
        except OSError:
            pytest.skip("somebody on this machine uses multicast DNS")
        for name in ("left", "right"):
            machines.boot(name, "--bind", "127.0.0.1")
        for name in ("left", "right"):
            machines.wait_ready(name)
        machines.until(lambda: machines.knows("left", "right"), "left knows right")
        machines.until(lambda: machines.knows("right", "left"), "right knows left")
    assert len(list((machines.root / "mesh" / "rendezvous").iterdir())) == 2
    machines.stop("right")
    machines.until(lambda: machines.knows("left", "right", online=False), "it said goodbye")
    assert len(list((machines.root / "mesh" / "rendezvous").iterdir())) == 1
