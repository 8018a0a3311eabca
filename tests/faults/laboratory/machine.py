"""One machine of the laboratory: the appliance as it is installed, in a process that can be treated badly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from edge.directories import socket_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.laboratory.wires import Wires

ROOT = Path(__file__).resolve().parents[3]
CARGO = Path(__file__).parent / "cargo"


class Machine:
    """A host: its directory, its address, and its process while it runs."""

    def __init__(self, name: str, root: Path, wires: Wires, environ: Mapping[str, str]) -> None:
        self.name = name
        self.data_dir = root / name
        self._wires = wires
        self._environ = dict(environ)
        self._log = root / f"{name}.log"
        self.socket = socket_path(self.data_dir, environ)
        address, self._port = wires.endpoint(name)
        self._bind = address
        self.url = f"https://{address}:{self._port}"
        self.peers: tuple[str, ...] = ()
        """URLs of the others; to be set before it is started."""
        self.process: subprocess.Popen[bytes] | None = None
        self.lives = 0
        """How often it was started."""
        self.powered = False
        """Whether anybody wants it to run."""
        self.paused = False

    # --- its process

    def start(self) -> None:
        """Start it; nobody waits until it is ready."""
        assert self.process is None
        command = [
            sys.executable, "-X", "faulthandler", "-m", "edge", "host", "--name", self.name, "--bind", self._bind,
            "--port", str(self._port), "--no-discovery", "--data-dir", str(self.data_dir),
            "--code-path", str(CARGO), *(word for url in self.peers for word in ("--peer", url)),
        ]  # fmt: skip
        self.lives += 1
        self.powered = True
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._wires.command(self.name, *command),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the host; its zygote and children are left to themselves."""
        self.powered = self.paused = False
        process = self.process
        if process is not None:
            process.kill()
            process.wait(30)
        self.process = None  # not before it is dead: whoever sees this relies on it

    def cut_power(self) -> None:
        """SIGKILL to everything that runs on it, as good as at once."""
        everything = self.family()
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.kill()

    def pause(self) -> None:
        """SIGSTOP to the host."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """SIGCONT to the host, if it is still there."""
        self.paused = False
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """SIGTERM: it parks its paglets and ends."""
        assert self.process is not None
        self.powered = False
        self.process.send_signal(signal.SIGTERM)

    def abort(self) -> str:
        """End a host that does not stop, and say where each of its threads was (SIGABRT, the fault handler)."""
        process, before = self.process, len(self.log())
        assert process is not None
        self.powered = False
        process.send_signal(signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        self.kill()
        return self.log()[before:]

    def ended(self) -> int | None:
        """The exit code of a process that has ended, which is put away with that; else None."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        self.powered = False
        return code

    @property
    def dead(self) -> bool:
        """Whether its process has certainly ended."""
        return self.process is None

    # --- what runs on it

    def family(self) -> list[psutil.Process]:
        """The host and every process that it has started, directly or not."""
        with suppress(psutil.NoSuchProcess):
            if self.process is not None:
                host = psutil.Process(self.process.pid)
                return [host, *host.children(recursive=True)]
        return []

    def zygotes(self) -> list[psutil.Process]:
        """The zygote; two for a moment, when one has died."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children() if self.process else []
        return []

    def children(self) -> set[int]:
        """Process ids of the paglets' processes."""
        found: set[int] = set()
        for zygote in self.zygotes():
            with suppress(psutil.NoSuchProcess):
                found |= {each.pid for each in zygote.children() if each.status() != psutil.STATUS_ZOMBIE}
        return found

    def log(self) -> str:
        """What it has logged, in all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Send a signal; whether that process was there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
