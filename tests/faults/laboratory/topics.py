"""The topics of tests that put faults in one place, each run as a part of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.faults.laboratory.ledger import Part
from tests.faults.laboratory.machine import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.laboratory.plan import Plan
    from tests.faults.laboratory.progress import Progress

TOPICS = {
    "store faults": ("tests/persistence", "tests/faults/test_full_disks.py", "tests/storefaults"),
    "overload": ("tests/overload", "tests/wire/test_fair_shares.py", "tests/runtime/test_bounds.py"),
    "faults at every step": (
        "tests/faults",
        "tests/artifacts/test_interrupted.py",
        "tests/outbox",
        "tests/supervision",
    ),
}
"""Directories and files by the name of the part; those that are not there are left out."""
_LONGEST = 1200.0


def run(plan: Plan, root: Path, progress: Progress) -> list[Part]:
    """All topics, one after the other."""
    found = {name: [each for each in paths if (ROOT / each).exists()] for name, paths in TOPICS.items()}
    if not plan.every_topic:
        del found["faults at every step"]  # `make test` has it
    return [_run_one(name, paths, plan, root, progress) for name, paths in found.items() if paths]


def _run_one(name: str, paths: list[str], plan: Plan, root: Path, progress: Progress) -> Part:
    progress.say(f"{name}: {' '.join(paths)}")
    begun = time.monotonic()
    report = root / f"{name.replace(' ', '-')}.xml"
    mark = ["-m", plan.pytest_mark] if plan.pytest_mark else []
    command = [
        sys.executable, "-X", "dev", "-m", "pytest", "-n", "2", "--junitxml", str(report), *mark, *paths,
    ]  # fmt: skip
    part = Part(name, about=f"pytest {' '.join([*mark, *paths])}")
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
        _read(report, part)
        if done.returncode:
            part.problems.append(
                f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-500:]}"
            )
    except subprocess.TimeoutExpired:
        part.problems.append(f"it did not end within {_LONGEST:g} s")
    part.seconds = time.monotonic() - begun
    return part


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
