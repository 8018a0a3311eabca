"""The topics of tests that put faults in one place, each run as a part of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import psutil

from tests.faults.laboratory.ledger import Part
from tests.faults.laboratory.machine import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.laboratory.plan import Plan
    from tests.faults.laboratory.progress import Progress

TOPICS = {
    "store faults": ("tests/persistence", "tests/disks", "tests/backup", "tests/faults/test_full_disks.py"),
    "overload": ("tests/overload", "tests/wire/test_fair_shares.py", "tests/runtime/test_bounds.py"),
    "faults at every step": (
        "tests/faults",
        "tests/artifacts/test_interrupted.py",
        "tests/outbox",
        "tests/supervision",
    ),
}
"""Directories and files by the name of the part."""
_LONGEST = 2400.0
_TEST_LONGEST = 600
"""Seconds after which a test that did not end when its own time was over says where it is, and ends its worker."""


def run(plan: Plan, root: Path, progress: Progress) -> list[Part]:
    """All topics, one after the other."""
    found = dict(TOPICS)
    if not plan.every_topic:
        del found["faults at every step"]  # `make test` has it
    return [_run_one(name, paths, plan, root, progress) for name, paths in found.items()]


def _run_one(name: str, paths: tuple[str, ...], plan: Plan, root: Path, progress: Progress) -> Part:
    progress.say(f"{name}: {' '.join(paths)}")
    begun = time.monotonic()
    report, output = (root / f"{name.replace(' ', '-')}.{kind}" for kind in ("xml", "out"))
    mark = ["-m", plan.pytest_mark] if plan.pytest_mark else []
    command = [
        sys.executable, "-X", "dev", "-m", "pytest", "-n", "2", "--junitxml", str(report),
        "-o", f"faulthandler_timeout={_TEST_LONGEST}", *mark, *paths,
    ]  # fmt: skip
    part = Part(name, about=f"pytest {' '.join([*mark, *paths])}")
    with output.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        process.wait(_LONGEST)
        _read(report, part)
        if process.returncode:
            part.problems.append(f"pytest ended with {process.returncode}; {output.name} has what it printed")
    except subprocess.TimeoutExpired:
        part.problems.append(f"it did not end within {_LONGEST:g} s; {output.name} has what it printed")
    finally:
        _end(process)
    part.seconds = time.monotonic() - begun
    return part


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of it that still runs, nor of what it has started."""
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def _read(report: Path, part: Part) -> None:
    if not report.exists():
        part.problems.append("it has left no report")
        return
    [suite] = ET.parse(report).getroot().findall("testsuite")
    failed = [
        f"{case.get('classname')}.{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    part.counted = {
        "tests": int(suite.get("tests", "0")),
        "failed": len(failed),
        "skipped": int(suite.get("skipped", "0")),
    }
    part.problems += [f"{each} failed" for each in failed]
