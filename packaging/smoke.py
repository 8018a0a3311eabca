"""Runs the frozen program for real: both forms, two hosts, a paglet of an author's own, a move, a stop."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from contents import LEFT_OUT
from layout import ROOT, SINGLE_FILE, TREE

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 40.0
PAGLET = '''
"""A paglet that needs much of the standard library, and none of what an installation would bring."""

import asyncio, csv, ctypes, curses, dataclasses, decimal, email.mime.text, fractions, html.parser, http.client
import importlib, json, logging.handlers, lzma, multiprocessing, os, pkgutil, sqlite3, ssl, statistics, subprocess, sys
import tomllib, unittest, urllib.request, uuid, wsgiref.util, xml.etree.ElementTree, xmlrpc.client, zipfile, zoneinfo
from dataclasses import dataclass, field

from paglets.core.agent import Paglet, PagletState

import neighbour


@dataclass
class WalkerState(PagletState):
    seen: list[str] = field(default_factory=list)


class Walker(Paglet[WalkerState]):
    State = WalkerState

    def on_arrival(self, event):
        self.state.seen.append(self.context.name)

    def handle_message(self, message):
        if message.kind == "seen":
            return self.state.seen
        if message.kind == "facts":
            return facts()
        return self.not_handled()


def facts():
    database = sqlite3.connect(":memory:")
    done = subprocess.run(["/bin/sh", "-c", "printf %s \\"${LD_LIBRARY_PATH-}\\""], capture_output=True, text=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        squared = pool.apply(pow, (7, 2))
    return {
        "neighbour": neighbour.NAME,
        "sum": database.execute("select 40 + 2").fetchone()[0],
        "library_path": done.stdout,
        "squared": squared,
        "frozen": bool(getattr(sys, "frozen", False)),
        "missing": [name for name in sorted(sys.stdlib_module_names) if not importable(name)],
        "executable": sys.executable,
        "gives_back": importable("paglets.core._pages"),
    }


def importable(name):
    if name in {"antigravity", "this"}:
        return True
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
'''


class SmokeError(Exception):
    """The program does not do what it has to."""


@dataclass
class Bench:
    """Where it is tried: a directory of its own, hosts that are stopped at the end."""

    program: Path
    root: Path
    environ: dict[str, str] = field(default_factory=dict[str, str])
    hosts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])

    def __post_init__(self) -> None:
        (self.root / "run").mkdir(mode=0o700)
        code = self.root / "code"
        code.mkdir()
        (code / "walker.py").write_text(PAGLET)
        (code / "neighbour.py").write_text('NAME = "found beside it"\n')
        self.environ = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "PAGLETS_MESH_DIR": str(self.root / "mesh"),
            "LD_LIBRARY_PATH": "/a/caller's/own",
        }
        for name in ("PAGLETS_DATA_DIR", "STATE_DIRECTORY", "NOTIFY_SOCKET", "PYTHONPATH"):
            self.environ.pop(name, None)

    def run(self, *words: str, expect: int = 0) -> str:
        """Run one command; its standard output."""
        done = subprocess.run(
            [str(self.program), *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        if done.returncode != expect:
            raise SmokeError(
                f"`paglets {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def ask(self, name: str, *words: str) -> Any:
        """Run a command against a host; its JSON document."""
        return json.loads(self.run("--data-dir", str(self.root / name), *words, "--json"))

    def start(self, name: str, *options: str) -> str:
        """Start a host and wait until it is ready; its address."""
        log: IO[bytes]
        with (self.root / f"{name}.log").open("ab") as log:
            self.hosts[name] = subprocess.Popen(
                [
                    str(self.program), "host", "--name", name, "--data-dir", str(self.root / name), "--port", "0",
                    "--bind", "127.0.0.1", "--no-discovery", "--code-path", str(self.root / "code"), *options,
                ],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self.until(f"{name} is ready", lambda: self._address(name))

    def _address(self, name: str) -> str | None:
        if self.hosts[name].poll() is not None:
            raise SmokeError(
                f"host {name} ended with {self.hosts[name].returncode}; its log:\n{self.log_of(name)}"
            )
        status = self.ask(name, "status")
        return status["address"] if status["ready"] else None

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        """Wait for something to hold; its value."""
        deadline = time.monotonic() + WAIT
        last = ""
        while time.monotonic() < deadline:
            try:
                if value := condition():
                    return value
            except SmokeError as error:
                last = str(error)
                if "ended with" in last and "log:" in last:
                    raise
            time.sleep(0.1)
        raise SmokeError(f"waited in vain until {what}: {last}")

    def stop(self, name: str) -> None:
        """Stop a host as a service manager does."""
        process = self.hosts.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
            raise SmokeError(f"host {name} did not stop within 20 s of SIGTERM") from None
        if code != 0:
            raise SmokeError(f"host {name} ended with {code} after SIGTERM; its log:\n{self.log_of(name)}")

    def close(self) -> None:
        """End what still runs."""
        for process in self.hosts.values():
            process.kill()
            process.wait(5)

    def log_of(self, name: str) -> str:
        """The end of a host's log."""
        return "\n".join((self.root / f"{name}.log").read_text(errors="replace").splitlines()[-25:])


def check(bench: Bench) -> None:
    """All of it, in the order in which a person would do it."""
    started = time.monotonic()
    bench.run("--version")
    print(f"  --version: {1000 * (time.monotonic() - started):.0f} ms")
    bench.run("--help")
    bench.run("--data-dir", str(bench.root / "nowhere"), "status", expect=3)
    bench.run("no-such-command", expect=2)
    address = bench.start("one")
    bench.start("two", "--peer", address)
    bench.until("they know each other", lambda: len(bench.ask("one", "hosts")) == 2)
    made = bench.ask("one", "create", "walker:Walker", "--id", "walker-1")
    if made != {"agent_id": "walker-1", "host_url": address}:
        raise SmokeError(f"create answered {made}")
    facts = bench.ask("one", "send", "walker-1", "facts")["reply"]
    _check_facts(bench, facts)
    bench.ask("one", "dispatch", "walker-1", "two")
    seen = bench.ask("one", "send", "walker-1", "seen")["reply"]
    if seen != ["two"]:
        raise SmokeError(f"after its move the paglet has seen {seen}")
    bench.run("--data-dir", str(bench.root / "one"), "ps", "--all")
    bench.run("--data-dir", str(bench.root / "one"), "create", "no_such_module:Nobody", expect=1)
    bench.stop("two")
    bench.stop("one")
    print("  two hosts, a paglet of their own, a move, a clean stop: all well")


def _check_facts(bench: Bench, facts: dict[str, Any]) -> None:
    not_here = {name for name in sys.stdlib_module_names if find_spec(name) is None}
    missing = sorted(set(facts["missing"]) - not_here - set(LEFT_OUT))
    if missing:
        raise SmokeError(
            f"a paglet cannot import these modules of the standard library: {', '.join(missing)}"
        )
    wanted = {
        "neighbour": "found beside it", "sum": 42, "squared": 49, "frozen": True,
        "library_path": bench.environ["LD_LIBRARY_PATH"],
        "gives_back": find_spec("paglets.core._pages") is not None,  # compiled where there is a compiler
    }  # fmt: skip
    got = {key: facts[key] for key in wanted}
    if got != wanted:
        raise SmokeError(f"a paglet found {got}, not {wanted}")


def main() -> int:
    """Try each form of the program; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("programs", nargs="*", type=Path, help="what to try (default: what build.py made)")
    options = parser.parse_args()
    programs: list[Path] = [path.resolve() for path in options.programs] or [TREE / "paglets", SINGLE_FILE]
    for program in programs:
        print(f"{program.relative_to(ROOT) if program.is_relative_to(ROOT) else program}:", flush=True)
        root = Path(tempfile.mkdtemp(prefix="paglets-smoke-"))
        bench = Bench(program, root)
        try:
            check(bench)
        except (SmokeError, subprocess.TimeoutExpired) as error:
            print(f"  failed: {error}", file=sys.stderr)
            for name in list(bench.hosts):
                print(f"--- log of {name}\n{bench.log_of(name)}", file=sys.stderr)
            return 1
        finally:
            bench.close()
            shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
