"""The ledger: what was done, what went wrong on purpose, and what was lost or doubled."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Part:
    """One part of a run."""

    name: str
    about: str = ""
    seed: str = ""
    simulated: bool = False
    moves: int = 0
    faults: dict[str, int] = field(default_factory=dict[str, int])
    operations: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """By name, how often with which outcome."""
    counted: dict[str, int] = field(default_factory=dict[str, int])
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])
    """What did not come to rest, did not stop, or was not as it should be."""
    notes: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Nothing lost, nothing doubled, everything at rest."""
        return not (self.lost or self.doubled or self.problems)


@dataclass
class Ledger:
    """All parts of a run, and where it was."""

    plan: str
    root: Path
    parts: list[Part] = field(default_factory=list[Part])
    begun: float = field(default_factory=time.time)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with any part."""
        return all(part.good for part in self.parts)

    @property
    def last_line(self) -> str:
        """The sum of all."""
        moves = sum(part.moves for part in self.parts)
        faults = sum(sum(part.faults.values()) for part in self.parts)
        lost = sum(len(part.lost) for part in self.parts)
        doubled = sum(len(part.doubled) for part in self.parts)
        return f"moves {moves}, faults {faults}, lost {lost}, doubled {doubled}"

    def write(self, directory: Path) -> Path:
        """Write it as JSON and as a page; the page's path."""
        directory.mkdir(parents=True, exist_ok=True)
        document = {**self._where(), "parts": [asdict(part) for part in self.parts], "sum": self.last_line}
        (directory / f"ledger-{self.plan}.json").write_text(json.dumps(document, indent=1) + "\n")
        page = directory / f"ledger-{self.plan}.md"
        page.write_text(self.page())
        return page

    def page(self) -> str:
        """It as Markdown."""
        where = self._where()
        lines = [f"{key}: {value}  " for key, value in where.items()]
        for part in self.parts:
            lines += ["", *_page_of(part)]
        return "\n".join([*lines, "", self.last_line, ""])

    def _where(self) -> dict[str, Any]:
        return {
            "run": self.plan,
            "commit": _commit(self.root),
            "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.begun)),
            "took": f"{sum(part.seconds for part in self.parts):.0f} s",
            "machine": f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}",
        }


def _page_of(part: Part) -> list[str]:
    seed = f", seed {part.seed}" if part.seed else ""
    lines = [
        f"### {part.name[0].upper()}{part.name[1:]}",
        "",
        f"{part.about}{seed}, {part.seconds:.0f} s.",
        "",
    ]
    if part.operations:
        outcomes = sorted({outcome for counts in part.operations.values() for outcome in counts})
        lines += [f"| operation | {' | '.join(outcomes)} |", f"| --- |{' ---: |' * len(outcomes)}"]
        for name, counts in part.operations.items():
            lines.append(f"| {name} | {' | '.join(str(counts.get(outcome, 0)) for outcome in outcomes)} |")
        lines.append("")
    if part.faults:
        lines += ["| fault | times |", "| --- | ---: |"]
        lines += [f"| {name} | {number} |" for name, number in sorted(part.faults.items())]
        lines.append("")
    if part.counted:
        lines += ["| counted | number |", "| --- | ---: |"]
        lines += [f"| {name} | {number} |" for name, number in part.counted.items()]
        lines.append("")
    for title in ("lost", "doubled", "problems", "notes"):
        entries: list[str] = getattr(part, title)
        if entries:
            lines += [f"{title}:", "", *(f"- {entry}" for entry in entries), ""]
    return lines


def _commit(root: Path) -> str:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, timeout=10, check=False
        )
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit} and changes" if git("status", "--porcelain") else commit


BEGIN, END = "<!-- ledger: begin -->", "<!-- ledger: end -->"


def publish(ledger: Path, page: Path) -> None:
    """Put a ledger into a page, in the place of the one that stands there."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{ledger.read_text().strip()}\n\n{END}{after}")
