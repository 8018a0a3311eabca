"""What runs that were killed have left behind: processes, namespaces, directories."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from tests.faults.laboratory.field import SOCKETS

RUN = "run-"
"""How the directory of a run begins; its process id comes next."""


def sweep(directory: Path) -> list[str]:
    """End and remove what runs of which the process is gone have left below that directory; what it was."""
    found: list[str] = []
    for root in directory.glob(f"{RUN}*"):
        if not _runs(root.name.removeprefix(RUN)):
            found += [f"process {pid}" for pid in _end_processes(root)]
            shutil.rmtree(root, ignore_errors=True)
            found.append(str(root))
    for sockets in Path(tempfile.gettempdir()).glob(f"{SOCKETS}*"):
        if not _runs(sockets.name.removeprefix(SOCKETS).split("-")[0]):
            shutil.rmtree(sockets, ignore_errors=True)
            found.append(str(sockets))
    return found + _sweep_namespaces()


def _end_processes(root: Path) -> list[int]:
    ended: list[int] = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(root) in word for word in process.info["cmdline"] or ()):
            with suppress(psutil.NoSuchProcess):
                family = [process, *process.children(recursive=True)]
                for each in family:
                    each.kill()
                    ended.append(each.pid)
    return ended


def _sweep_namespaces() -> list[str]:
    if shutil.which("ip") is None:
        return []
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, timeout=10, check=False)
    found: list[str] = []
    for line in done.stdout.splitlines():
        name = line.split()[0]
        ours = re.fullmatch(r"pg(\d+)x\d+\w+", name)
        if ours and not _runs(ours[1]):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=10, check=False)
            found.append(f"namespace {name}")
    return found


def _runs(pid: str) -> bool:
    return pid.isdigit() and psutil.pid_exists(int(pid))
