"""Three hosts, one travelling surveyor, one pulled plug: the main job, shown as it happens.

Run it with `make demo` (from source) or `make demo-binary` (the frozen program). Every step is a command that
a person could type; the demo prints it, runs it, and checks what it did. Exit status 0 only if all of it held.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

EXAMPLES = Path(__file__).resolve().parent
sys.path.append(str(EXAMPLES))

from surveyor.survey import Findings, merge, survey_folder  # noqa: E402 - the example lies beside this script

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

HOSTS = ("alpha", "beta", "gamma")
KEYWORDS = ["license", "copyright", "warranty"]
SOURCES = ("/usr/share/doc", "/usr/share/common-licenses", "/var/log", sys.prefix)
FILES_PER_HOST = 120
WAIT = 30.0


class DemoFailedError(Exception):
    """Something that should have held did not."""


@dataclass
class Box:
    """One pretended device: its name, its data directory and the folder of files that lies on it."""

    name: str
    data_dir: Path
    folder: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None


class Stage:
    """Where the demo plays: runs commands, tells what happens, cleans up."""

    def __init__(self, program: list[str], root: Path) -> None:
        self.program = program
        self.root = root
        self.started = time.monotonic()
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.environ = {
            **os.environ,
            "PAGLETS_MESH_DIR": str(root / "mesh"),
            "XDG_RUNTIME_DIR": str(root / "run"),
        }
        self.environ.pop("STATE_DIRECTORY", None)
        self.environ.pop("NOTIFY_SOCKET", None)
        (root / "run").mkdir(mode=0o700)
        self.boxes = [self._make_box(name) for name in HOSTS]

    def _make_box(self, name: str) -> Box:
        folder = self.root / "files" / name
        folder.mkdir(parents=True)
        return Box(name, self.root / name, folder, self.root / f"{name}.log")

    def say(self, text: str) -> None:
        """One line of the story."""
        stamp = f"{time.monotonic() - self.started:5.1f} s"
        print(f"\033[1m{stamp}  {text}\033[0m" if self.colour else f"{stamp}  {text}", flush=True)

    def show(self, text: str) -> None:
        """Something seen on the way."""
        for line in text.rstrip().splitlines():
            print(f"         {line}", flush=True)

    def start(self, box: Box) -> None:
        """Start a host in its own process. It is told nothing about the others."""
        arguments = [
            "host", "--name", box.name, "--data-dir", str(box.data_dir), "--port", "0", "--bind", "127.0.0.1",
            "--property", f"folder={box.folder}", "--code-path", str(EXAMPLES),
        ]  # fmt: skip
        self.show(f"$ paglets host --name {box.name} --data-dir …/{box.name} --property folder=…/{box.name}")
        log: IO[bytes]
        with box.log.open("ab") as log:
            box.process = subprocess.Popen(
                [*self.program, *arguments],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(self, box: Box, *words: str, shown: bool = True) -> Any:
        """Run one CLI command against a box's host, as a person there would; the parsed JSON answer."""
        if shown:
            self.show(f"{box.name}$ paglets {' '.join(_quoted(word) for word in words)}")
        command = [*self.program, "--data-dir", str(box.data_dir), *words, "--json"]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, timeout=WAIT, check=False
        )
        if done.returncode != 0:
            raise DemoFailedError(
                f"`paglets {' '.join(words)}` on {box.name} ended with {done.returncode}: {done.stderr}"
            )
        return json.loads(done.stdout)

    def display(self, box: Box, *words: str) -> None:
        """Run one CLI command and show what a person would see."""
        self.show(f"{box.name}$ paglets {' '.join(words)}")
        command = [*self.program, "--data-dir", str(box.data_dir), *words]
        environ = {**self.environ, "COLUMNS": "110"}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=WAIT, check=False)
        self.show(done.stdout + done.stderr)
        if done.returncode != 0:
            raise DemoFailedError(f"`paglets {' '.join(words)}` on {box.name} ended with {done.returncode}")

    def wait(self, what: str, condition: Callable[[], Any], seconds: float = WAIT) -> Any:
        """Wait until something holds; its value."""
        deadline = time.monotonic() + seconds
        last: Exception | None = None
        while time.monotonic() < deadline:
            try:
                value = condition()
            except DemoFailedError as error:
                last, value = error, None
            if value:
                return value
            time.sleep(0.1)
        raise DemoFailedError(f"waited {seconds:.0f} s in vain until {what}" + (f" ({last})" if last else ""))

    def close(self) -> None:
        """Stop what still runs; politely first."""
        for box in self.boxes:
            if box.process is not None and box.process.poll() is None:
                box.process.send_signal(signal.SIGTERM)
        for box in self.boxes:
            if box.process is not None:
                try:
                    box.process.wait(15)
                except subprocess.TimeoutExpired:
                    box.process.kill()
                    box.process.wait(5)


def _quoted(word: str) -> str:
    return f"'{word}'" if any(mark in word for mark in '{[" ') else word


def share_out_files(boxes: list[Box]) -> None:
    """Copy real text files of this machine into the boxes' folders, in turn."""
    wanted = FILES_PER_HOST * len(boxes)
    taken = 0
    for source in SOURCES:
        for path in sorted(Path(source).rglob("*")):
            if taken >= wanted:
                return
            with contextlib.suppress(OSError):
                if path.is_symlink() or not path.is_file() or not 0 < path.stat().st_size < 200_000:
                    continue
                if b"\0" in path.read_bytes()[:1024]:
                    continue
                box = boxes[taken % len(boxes)]
                shutil.copyfile(path, box.folder / f"{taken:04d}-{path.name}")
                taken += 1
    if taken < len(boxes):
        raise DemoFailedError("found no readable files on this machine to survey")


def hosts_seen(stage: Stage, box: Box) -> set[str]:
    """Which hosts a box sees online."""
    return {host["name"] for host in stage.run(box, "hosts", shown=False) if host["online"]}


def where(stage: Stage, asked: Box, agent_id: str) -> dict[str, Any] | None:
    """The line about a paglet in `paglets ps --all`, from whichever host has it."""
    lines = [line for line in stage.run(asked, "ps", "--all", shown=False) if line["agent_id"] == agent_id]
    return lines[0] if lines else None


def is_at(
    stage: Stage, asked: Box, agent_id: str, host: str, status: str = "active"
) -> dict[str, Any] | None:
    """The paglet's line, if it is at that host in that status."""
    line = where(stage, asked, agent_id)
    return line if line and line["host_name"] == host and line["status"] == status else None


def play(stage: Stage) -> None:
    """The story, step by step."""
    meet(stage)
    agent_id = set_out(stage)
    helper, clone_id = park_and_clone(stage, agent_id)
    pull_the_plug(stage, agent_id)
    compare(stage, agent_id, helper)
    clear_away(stage, agent_id, clone_id)


def meet(stage: Stage) -> None:
    """Three hosts find each other."""
    alpha = stage.boxes[0]
    share_out_files(stage.boxes)
    counts = ", ".join(f"{box.name} {sum(1 for _ in box.folder.iterdir())}" for box in stage.boxes)
    stage.say(f"Real files of this machine now lie on three boxes: {counts}.")

    stage.say("Three hosts start. None is told of the others.")
    for box in stage.boxes:
        stage.start(box)
    for box in stage.boxes:
        stage.wait(f"{box.name} sees all three", lambda box=box: hosts_seen(stage, box) == set(HOSTS))
    stage.say("They have found each other.")
    stage.display(alpha, "hosts")


def set_out(stage: Stage) -> str:
    """A surveyor is made and travels to beta; its id."""
    alpha = stage.boxes[0]
    stage.say(
        "A surveyor is made at alpha and sent on its way: beta, gamma, and home. It shall rest at beta."
    )
    agent_id = stage.run(alpha, "create", "surveyor.agent:Surveyor")["agent_id"]
    order = json.dumps({"stops": ["beta", "gamma"], "rest_at": "beta"})
    stage.run(alpha, "send", agent_id, "go", order)
    stage.wait("the surveyor is at beta", lambda: is_at(stage, alpha, agent_id, "beta"))
    stage.wait(
        "beta is surveyed",
        lambda: "beta" in stage.run(alpha, "send", agent_id, "findings", shown=False)["reply"],
    )
    stage.display(alpha, "ps", "--all")

    return agent_id


def park_and_clone(stage: Stage, agent_id: str) -> tuple[Any, str]:
    """It is parked, woken and cloned; what the clone found, and the clone's id."""
    alpha, beta, _ = stage.boxes
    stage.say("At beta it is parked on disk, has no process any more, and is woken again.")
    stage.run(beta, "deactivate", agent_id)
    parked = stage.wait("it is parked", lambda: is_at(stage, beta, agent_id, "beta", "inactive"))
    stage.show(f"parked at {parked['host_name']}, pid {parked['pid']}, epoch {parked['epoch']}")
    stage.run(beta, "activate", agent_id)
    woken = stage.wait("it is awake", lambda: is_at(stage, beta, agent_id, "beta"))
    stage.show(f"awake at {woken['host_name']}, pid {woken['pid']}, epoch {woken['epoch']}")

    stage.say("A clone goes to alpha and surveys what lies at home; the original will ask for its part.")
    clone_id = stage.run(beta, "clone", agent_id, "alpha")["agent_id"]
    helper = stage.wait(
        "the clone has surveyed alpha",
        lambda: stage.run(alpha, "send", clone_id, "findings", shown=False)["reply"],
    )

    return helper, clone_id


def pull_the_plug(stage: Stage, agent_id: str) -> None:
    """Its next host is killed, and comes back."""
    alpha, beta, gamma = stage.boxes
    stage.say("The plug of gamma is pulled (kill -9), and the surveyor is told to go on - to gamma.")
    assert gamma.process is not None
    gamma.process.kill()
    gamma.process.wait(5)
    stage.run(beta, "send", agent_id, "go-on")
    stage.wait("the surveyor has found gamma gone", lambda: _failed_transfers(stage, beta, agent_id))
    still = stage.wait("it is still at beta", lambda: is_at(stage, beta, agent_id, "beta"))
    stage.show(f"it could not leave: still {still['status']} at {still['host_name']}, nothing lost")

    stage.say("gamma comes back, with the same data directory.")
    stage.start(gamma)
    stage.wait("the surveyor is home", lambda: is_at(stage, alpha, agent_id, "alpha"))
    stage.say("The surveyor went through gamma and is home at alpha.")


def compare(stage: Stage, agent_id: str, helper: Any) -> None:
    """Its report is the one that reading the files directly gives."""
    alpha = stage.boxes[0]

    stage.show(f"alpha$ paglets send {agent_id} merge '{{the clone's findings}}'")
    stage.run(alpha, "send", agent_id, "merge", json.dumps({"findings": helper}), shown=False)
    report = stage.wait(
        "the report is done",
        lambda: (
            (found := stage.run(alpha, "send", agent_id, "report", shown=False)["reply"])["done"] and found
        ),
    )
    stage.show("its diary:")
    stage.show("\n".join(report["diary"]))

    stage.say("The same survey done directly, on the files where they lie:")
    direct = merge([survey_folder(box.folder, KEYWORDS) for box in stage.boxes])
    reported = Findings(**report["total"])
    stage.show(f"reported: {_summary(reported)}")
    stage.show(f"directly: {_summary(direct)}")
    if asdict(direct) != asdict(reported) or report["hosts"] != sorted(HOSTS):
        raise DemoFailedError(f"the report differs: {asdict(reported)} is not {asdict(direct)}")


def clear_away(stage: Stage, agent_id: str, clone_id: str) -> None:
    """There is one surveyor and its clone; both are disposed of."""
    alpha = stage.boxes[0]
    copies = [line for line in stage.run(alpha, "ps", "--all", shown=False) if line["agent_id"] == agent_id]
    if len(copies) != 1:
        raise DemoFailedError(f"{len(copies)} copies of the surveyor: {copies}")
    stage.display(alpha, "ps", "--all")
    for paglet in (clone_id, agent_id):
        stage.run(alpha, "dispose", paglet)
    stage.say(
        "One surveyor, three hosts, one pulled plug: nothing lost, nothing doubled, and the report is right."
    )


def _failed_transfers(stage: Stage, box: Box, agent_id: str) -> bool:
    events = stage.run(box, "events", "--since", "0", shown=False)
    return any(event["kind"] == "transfer-failed" and event["agent_id"] == agent_id for event in events)


def _summary(found: Findings) -> str:
    mentions = ", ".join(f"{word} {count}" for word, count in found.mentions.items())
    return (
        f"{found.files} files, {found.size_bytes} bytes, {found.lines} lines, {found.words} words; {mentions}"
    )


@contextlib.contextmanager
def stage_for(program: list[str], *, keep: bool) -> Generator[Stage]:
    """A stage in a temporary directory, cleared away afterwards."""
    root = Path(tempfile.mkdtemp(prefix="paglets-demo-"))
    stage = Stage(program, root)
    try:
        yield stage
    except (DemoFailedError, subprocess.TimeoutExpired, AssertionError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        for box in stage.boxes:
            if box.log.exists():
                tail = "\n".join(box.log.read_text(errors="replace").splitlines()[-25:])
                print(f"--- log of {box.name}\n{tail}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        stage.close()
        if keep:
            print(f"kept: {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


def main() -> int:
    """Parse the command line and play."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--paglets", help="the frozen program to use; without it, this Python's own", default=None
    )
    parser.add_argument("--keep", action="store_true", help="keep data directories and logs")
    options = parser.parse_args()
    program = [str(Path(options.paglets).resolve())] if options.paglets else [sys.executable, "-m", "edge"]
    with stage_for(program, keep=options.keep) as stage:
        play(stage)
        stage.say(f"done in {time.monotonic() - stage.started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
