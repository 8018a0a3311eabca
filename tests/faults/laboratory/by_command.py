"""The independent part: all is asked, moved and counted by the command line alone, while hosts are killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.faults.laboratory.field import Field
from tests.faults.laboratory.ledger import Part
from tests.faults.laboratory.machine import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.laboratory.plan import Plan
    from tests.faults.laboratory.progress import Progress

_NAMES = ("north", "east", "west")
_PAGLETS = 8
_HANDS = 3
"""Commands at a time."""
_REST_SECONDS = 90.0
_COMMAND_SECONDS = 120.0


class Commands:
    """Runs ``paglets`` commands against the hosts of a field."""

    def __init__(self, field: Field) -> None:
        self._field = field

    def run(self, host: str, *words: str) -> tuple[int, Any]:
        """One command at a host; its exit code, and its document if it is 0."""
        data_dir = str(self._field[host].data_dir)
        command = [sys.executable, "-m", "edge", "--data-dir", data_dir, *words, "--json"]
        done = subprocess.run(
            command, env=self._field.environ, cwd=ROOT, capture_output=True, text=True,
            timeout=_COMMAND_SECONDS, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


class Owner:
    """Moves some paglets, one command after the other, and notes what was acknowledged."""

    def __init__(self, number: int, commands: Commands, seed: str) -> None:
        self._commands = commands
        self._random = random.Random(seed)
        self.held: dict[str, int] = {}
        """By id: the count that the paglet has acknowledged."""
        self.asked: Counter[tuple[str, str]] = Counter()
        self._ids = [f"c{number}-{each}" for each in range(_PAGLETS // _HANDS + 1)]

    def begin(self) -> None:
        """Create them."""
        for agent_id in self._ids:
            code, _ = self._do("create", self._anywhere(), "create", "lab_paglets:Scribe", "--id", agent_id)
            if code == 0:
                self.held[agent_id] = 0

    def step(self) -> bool:
        """One command; whether it was a move that was acknowledged."""
        agent_id = self._random.choice(list(self.held))
        kind = self._random.choice(["dispatch", "dispatch", "retract", "save", "deactivate"])
        if kind == "dispatch":
            code, _ = self._do(kind, self._anywhere(), "dispatch", agent_id, self._anywhere())
        elif kind == "save":
            code, done = self._do(kind, self._anywhere(), "send", agent_id, "save")
            if code == 0 and isinstance(done["reply"], int):
                self.held[agent_id] = done["reply"]
        else:
            code, _ = self._do(kind, self._anywhere(), kind, agent_id)
        return code == 0 and kind in {"dispatch", "retract"}

    def _do(self, kind: str, host: str, *words: str) -> tuple[int, Any]:
        code, done = self._commands.run(host, *words)
        self.asked[kind, "done" if code == 0 else f"exit code {code}"] += 1
        return code, done

    def _anywhere(self) -> str:
        return self._random.choice(_NAMES)


def run(plan: Plan, seed: int, root: Path, progress: Progress) -> Part:
    """Moves, kill -9, restart, count."""
    begun = time.monotonic()
    part = Part("by the command line alone", seed=str(seed))
    field = Field(root, _NAMES)
    part.about = f"{len(_NAMES)} hosts, {_HANDS} commands at a time, {field.wires.what}"
    progress.say(f"moving by the command line: {plan.cli_moves} moves")
    try:
        field.start()
        commands = Commands(field)
        owners = [Owner(number, commands, f"{seed} owner {number}") for number in range(_HANDS)]
        for owner in owners:
            owner.begin()
        _move(plan, seed, field, owners, part, progress)
        _count(field, commands, owners, part)
    except TimeoutError as error:
        part.problems.append(str(error))
    finally:
        part.seconds = time.monotonic() - begun
        field.close()
    return part


def _move(plan: Plan, seed: int, field: Field, owners: list[Owner], part: Part, progress: Progress) -> None:
    dice, faults = random.Random(f"{seed} kills"), Counter[str]()
    with ThreadPoolExecutor(len(owners)) as hands:
        while part.moves < plan.cli_moves:
            steps = [hands.submit(owner.step) for owner in owners]
            hit = dice.choice([[], [], [], [dice.choice(_NAMES)], list(_NAMES)])
            time.sleep(dice.uniform(0.0, 0.6))  # the moment is meant to be any
            for name in hit:
                field[name].kill()
            for name in hit:
                field[name].start()
            if hit:
                faults["kill -9 of all hosts" if len(hit) > 1 else "kill -9 of a host"] += 1
            part.moves += sum(step.result() for step in steps)
            progress.show(part.moves, plan.cli_moves, faults.total())
    part.faults.update(faults)
    asked = sum((owner.asked for owner in owners), Counter[tuple[str, str]]())
    for (kind, outcome), number in sorted(asked.items()):
        part.operations.setdefault(kind, {})[outcome] = number


def _count(field: Field, commands: Commands, owners: list[Owner], part: Part) -> None:
    held = {agent_id: count for owner in owners for agent_id, count in owner.held.items()}
    lines: list[dict[str, Any]] = []

    def at_rest() -> bool:
        lines.clear()
        for name in _NAMES:
            code, transfers = commands.run(name, "transfers")
            shown, found = commands.run(name, "ps")
            if code or shown or transfers:
                return False
            lines.extend(found)
        return all(line["status"] in {"active", "inactive"} for line in lines)

    field.wait(at_rest, "the command line shows everything at rest", _REST_SECONDS)
    often = Counter(line["agent_id"] for line in lines)
    part.lost += [f"{agent_id} is nowhere" for agent_id in held if not often[agent_id]]
    part.doubled += [
        f"{agent_id} is there {number} times" for agent_id, number in often.items() if number > 1
    ]
    for agent_id, count in held.items():
        code, told = commands.run(_NAMES[0], "send", agent_id, "look")
        if code:
            part.problems.append(f"{agent_id} does not answer: {told}")
        elif told["reply"]["saved"] < count:
            part.lost.append(f"{agent_id} has counted to {told['reply']['saved']}, and {count} was durable")
    part.counted = {"paglets there": len(lines), "acknowledged to be there": len(held)}
