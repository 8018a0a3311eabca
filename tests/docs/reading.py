"""Reads a page of the documentation and does what it says, as its reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FROZEN = ROOT / "build" / "dist" / "paglets"
SOURCE = Path(sys.executable).parent
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_PUT_INTO = re.compile(r"[Pp]ut this into `([^`]+)`")
_STATUS = re.compile(r"\[exit status (\d+)\]")
_ANYTHING = "…"
_START_SECONDS = 20.0
_COMMAND_SECONDS = 60.0


@dataclass(frozen=True)
class Command:
    """A line that the reader types, and what the page says it prints."""

    line: str
    expected: list[str]

    @property
    def status(self) -> int:
        """The exit status that the page speaks of."""
        found = next((_STATUS.fullmatch(each) for each in self.expected if _STATUS.fullmatch(each)), None)
        return 0 if found is None else int(found[1])

    def matches(self, printed: str) -> bool:
        """Whether it printed that; ``…`` on the page stands for anything."""
        said = "\n".join(each for each in self.expected if not _STATUS.fullmatch(each))
        pattern = ".*".join(re.escape(part) for part in said.split(_ANYTHING))
        lines = "\n".join(line.rstrip() for line in printed.splitlines())
        return re.fullmatch(pattern, lines, re.DOTALL) is not None


@dataclass
class Reader:
    """Somebody with a page, an empty folder and a shell."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])
    hosts: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def follow(self, page: Path) -> int:
        """Do everything on the page in its order; how many commands were run."""
        text = page.read_text(encoding="utf-8")
        done, end = 0, 0
        for block in _BLOCK.finditer(text):
            before, end = text[end : block.start()], block.end()
            if block["language"] == "console":
                for command in _commands(block["text"]):
                    self._type(command)
                    done += 1
            elif names := _PUT_INTO.findall(before):
                (self.folder / names[-1]).write_text(block["text"], encoding="utf-8")
        return done

    def _type(self, command: Command) -> None:
        if command.line.startswith("export "):
            name, _, value = command.line.removeprefix("export ").partition("=")
            self.environment[name] = value
        elif command.line.endswith(" &"):
            self._begin(command.line.removesuffix(" &"))
        else:
            self._run(command)

    def _run(self, command: Command) -> None:
        ran = subprocess.run(
            ["sh", "-c", command.line],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert ran.returncode == command.status, f"$ {command.line}\n{ran.stdout}"
        assert command.matches(ran.stdout), (
            f"$ {command.line}\n{ran.stdout}\nbut the page says\n" + "\n".join(command.expected)
        )

    def _begin(self, line: str) -> None:
        log = self.folder / f"host-{len(self.hosts)}.log"
        with log.open("wb") as output:
            host = subprocess.Popen(
                ["sh", "-c", f"exec {line}"], cwd=self.folder, env=self.environment, stderr=output
            )
        self.hosts.append(host)
        deadline = time.monotonic() + _START_SECONDS
        while " ready " not in log.read_text():
            assert host.poll() is None, f"$ {line}\n{log.read_text()}"
            assert time.monotonic() < deadline, f"$ {line}\n{log.read_text()}"
            time.sleep(0.02)

    def close(self) -> None:
        """Stop what was started."""
        for host in self.hosts:
            host.terminate()
        for host in self.hosts:
            host.wait(30)


def reader_in(folder: Path, programs: list[Path]) -> Reader:
    """A reader whose shell finds these directories' programs first, and nothing of this user's own."""
    environment = {
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "HOME": str(folder / "home"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "LANG": "C.UTF-8",
        "COLUMNS": "120",
    }
    for name in ("home", "run"):
        (folder / name).mkdir(mode=0o700)
    return Reader(folder, environment)


def _commands(block: str) -> Iterator[Command]:
    line, expected = "", list[str]()
    for each in block.splitlines():
        if each.startswith("$ "):
            if line:
                yield Command(line, expected)
            line, expected = each.removeprefix("$ "), []
        elif each.startswith("> "):  # the shell asks for more
            line += "\n" + each.removeprefix("> ")
        else:
            expected.append(each.rstrip())
    if line:
        yield Command(line, expected)
