"""Real hosts in processes of their own, and the command line run against them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

from edge.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Callable

AGENTS = Path(__file__).parent / "agents"
WAIT = 30.0
_OURS = (
    "PAGLETS_DATA_DIR",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "NOTIFY_SOCKET",
    "PAGLETS_LOG",
    "COLUMNS",
)


class Result(NamedTuple):
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON document."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass
class Site:
    """A directory with hosts in it, and the environment in which they and the commands run."""

    root: Path
    hosts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])
    environ: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        (self.root / "run").mkdir(mode=0o700)
        self.environ = {name: value for name, value in os.environ.items() if name not in _OURS}
        self.environ |= {
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "XDG_DATA_HOME": str(self.root / "share"),
            "PAGLETS_MESH_DIR": str(self.root / "mesh"),
        }

    def data_dir(self, name: str) -> Path:
        """Where a host of that name keeps its data."""
        return self.root / name

    def start(self, name: str, *options: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a host; ``wait_ready`` tells when it can be used."""
        command = [
            sys.executable, "-m", "edge", "host", "--name", name, "--port", "0", "--bind", "127.0.0.1",
            "--no-discovery", "--code-path", str(AGENTS), *options,
        ]  # fmt: skip
        if not environ:
            command += ["--data-dir", str(self.data_dir(name))]
        with (self.root / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=Path(__file__).parents[2],
            )
        self.hosts[name] = process
        return process

    def wait_ready(self, name: str) -> str:
        """Wait until a host answers; its address."""
        return self.until(lambda: self._address(name), f"{name} is ready: {self.log(name)}")

    def run(self, *words: str, **environ: str) -> Result:
        """Run a command line in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, {**self.environ, **environ}, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(words)
        return Result(code, out.getvalue(), err.getvalue())

    def on(self, name: str, *words: str) -> Result:
        """Run a command against a host."""
        return self.run("--data-dir", str(self.data_dir(name)), *words)

    def ask(self, name: str, *words: str) -> Any:
        """Run a command against a host; its JSON document."""
        return self.on(name, *words, "--json").json

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for a condition; its value."""
        deadline = time.monotonic() + WAIT
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            time.sleep(0.05)
        return value

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to a host and wait for its end; its exit code."""
        process = self.hosts.pop(name)
        process.send_signal(number)
        return process.wait(WAIT)

    def log(self, name: str) -> str:
        """What a host has logged."""
        return (self.root / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        """End all hosts."""
        for process in self.hosts.values():
            process.terminate()
        for process in self.hosts.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        self.hosts.clear()

    def _address(self, name: str) -> str | None:
        assert self.hosts[name].poll() is None, f"host {name} has ended: {self.log(name)}"
        done = self.on(name, "status", "--json")
        return str(done.json["address"]) if done.code == 0 and done.json["ready"] else None
