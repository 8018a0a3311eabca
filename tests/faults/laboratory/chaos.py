"""Whatever can happen to hosts and cables, at moments that nobody chose."""

from __future__ import annotations

import heapq
import random
import signal
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tests.faults.laboratory.machine import send_signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.laboratory.field import Field
    from tests.faults.laboratory.machine import Machine
    from tests.faults.laboratory.pilot import Traffic

_LONGEST_STOP = 60.0


class _Due(NamedTuple):
    at: float
    order: int
    work: Callable[[], object]


class Chaos:
    """Strikes, and makes good again what it did, each in its time. ``step`` is to be called again and again."""

    def __init__(self, field: Field, traffic: Traffic, seed: str) -> None:
        self.field = field
        self.struck: Counter[str] = Counter()
        self.problems: list[str] = []
        """What no fault of ours explains: hosts that ended by themselves, or did not stop."""
        self._traffic = traffic
        self._random = random.Random(seed)
        self._due: list[_Due] = []
        self._order = 0
        self._hurt: set[str] = set()
        """Machines that are down, paused, stopping or cut off."""
        self._acts: list[tuple[float, Callable[[], object]]] = [
            (4, self._aimed), (2, self._host), (1, self._two_hosts), (1.5, self._zygote), (4, self._child),
            (1.5, self._pause_host), (1, self._pause_child), (0.7, self._pause_zygote), (1, self._restart),
            (0.4, self._blackout),
        ]  # fmt: skip
        if field.wires.can_cut:
            self._acts += [(2, self._cut), (1.5, self._cut_silently), (1.5, self._deafen)]

    def step(self) -> None:
        """Make good what is due, look whether all are well, and strike once."""
        self.attend()
        weights = [weight for weight, _ in self._acts]
        [(_, act)] = self._random.choices(self._acts, weights)
        act()

    def attend(self) -> None:
        """Make good what is due, and look whether all are well."""
        now = time.monotonic()
        while self._due and self._due[0].at <= now:
            heapq.heappop(self._due).work()
        for machine in self.field:
            if machine.powered and (code := machine.ended()) is not None:
                self.problems.append(f"host {machine.name} ended by itself, with {code}")
                machine.start()

    def make_good(self) -> None:
        """Everything at once: all cables, all machines."""
        while self._due:
            heapq.heappop(self._due).work()
        for machine in self.field:
            self.field.wires.heal(machine.name)
            if machine.paused:
                machine.resume()
            if machine.process is None:
                machine.start()
        self._hurt.clear()

    # --- timing

    def _after(self, seconds: float, work: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._due, _Due(time.monotonic() + seconds, self._order, work))

    def _well(self) -> list[Machine]:
        return [
            machine
            for machine in self.field
            if machine.name not in self._hurt and machine.process is not None
        ]

    def _some(self, number: int = 1) -> list[Machine]:
        """Some machines that nothing else is wrong with; one of all is left alone, unless all are meant."""
        well = self._well()
        return self._random.sample(well, number) if len(well) > number else []

    def _short(self, longest: float) -> float:
        return self._random.choice(
            [0.0, self._random.uniform(0.0, longest / 4), self._random.uniform(0.0, longest)]
        )

    # --- killing

    def _down(self, machines: list[Machine], what: str, longest: float = 1.5) -> None:
        for machine in machines:
            machine.kill()
            self._hurt.add(machine.name)
        self.struck[what] += 1
        for machine in machines:
            self._after(self._short(longest), partial(self._up, machine))

    def _up(self, machine: Machine) -> None:
        if machine.process is None:
            machine.start()
        self._hurt.discard(machine.name)

    def _host(self) -> None:
        if machines := self._some():
            self._down(machines, "host killed")

    def _two_hosts(self) -> None:
        if machines := self._some(2):
            self._down(machines, "two hosts killed")

    def _aimed(self) -> None:
        """Hit a move that is under way: its source, its target, or both."""
        moves = [(source, target) for source, target in self._traffic.moves() if source != target]
        well = {machine.name for machine in self._well()}
        moves = [(source, target) for source, target in moves if {source, target} <= well]
        if not moves or len(well) < 3:
            return
        source, target = self._random.choice(moves)
        names, what = self._random.choice(
            [((source,), "source of a move killed"), ((target,), "target of a move killed"),
             ((source, target), "source and target of a move killed")]
        )  # fmt: skip
        self._down([self.field[name] for name in names], what)

    def _blackout(self) -> None:
        """The power goes, everywhere, and comes back."""
        everything = list(self.field)
        for machine in everything:
            machine.cut_power()
            self._hurt.add(machine.name)
        self.struck["power cut of the whole mesh"] += 1
        for machine in everything:
            self._after(self._short(1.0), partial(self._up, machine))

    def _zygote(self) -> None:
        for machine in self._some():
            hit = [send_signal(zygote.pid, signal.SIGKILL) for zygote in machine.zygotes()]
            self.struck["zygote killed"] += any(hit)

    def _child(self) -> None:
        for machine in self._some():
            if children := sorted(machine.children()):
                self.struck["child killed"] += send_signal(self._random.choice(children), signal.SIGKILL)

    # --- stopping

    def _pause_host(self) -> None:
        for machine in self._some():
            machine.pause()
            self._hurt.add(machine.name)
            self.struck["host stopped for a while"] += 1
            self._after(self._random.uniform(0.1, 2.5), partial(self._resume, machine, machine.lives))

    def _resume(self, machine: Machine, life: int) -> None:
        if machine.lives == life and machine.paused:
            machine.resume()
            self._hurt.discard(machine.name)

    def _pause_child(self) -> None:
        for machine in self._some():
            if children := sorted(machine.children()):
                self._pause_process(self._random.choice(children), "child stopped for a while")

    def _pause_zygote(self) -> None:
        for machine in self._some():
            for zygote in machine.zygotes()[:1]:
                self._pause_process(zygote.pid, "zygote stopped for a while")

    def _pause_process(self, pid: int, what: str) -> None:
        if send_signal(pid, signal.SIGSTOP):
            self.struck[what] += 1
            self._after(self._random.uniform(0.1, 2.0), partial(send_signal, pid, signal.SIGCONT))

    def _restart(self) -> None:
        """SIGTERM: it parks its paglets, ends, and is started again; some are killed while they stop."""
        for machine in self._some():
            machine.ask_to_stop()
            self._hurt.add(machine.name)
            self.struck["host restarted in order"] += 1
            if self._random.random() < 0.3:
                self._after(self._random.uniform(0.0, 0.5), partial(self._kill_stopping, machine))
            else:
                deadline = time.monotonic() + _LONGEST_STOP
                self._after(0.1, partial(self._stopped, machine, machine.lives, deadline))

    def _kill_stopping(self, machine: Machine) -> None:
        self.struck["host killed while it stopped"] += 1
        machine.kill()
        self._after(self._short(1.0), partial(self._up, machine))

    def _stopped(self, machine: Machine, life: int, deadline: float) -> None:
        if machine.lives != life or machine.process is None:
            return
        code = machine.ended()
        if code is None and time.monotonic() < deadline:
            self._after(0.1, partial(self._stopped, machine, life, deadline))
            return
        if code is None:
            self.problems.append(
                f"host {machine.name} did not stop within {_LONGEST_STOP:g} s: {machine.abort()}"
            )
        elif code not in {0, -signal.SIGTERM}:  # it may have been asked before it had learned to listen
            self.problems.append(f"host {machine.name} stopped with {code}")
        self._up(machine)

    # --- cables

    def _cut(self) -> None:
        for machine in self._some():
            self._part(machine, "cable pulled", partial(self.field.wires.cut, machine.name, silently=False))

    def _cut_silently(self) -> None:
        for machine in self._some():
            self._part(
                machine, "cut off silently", partial(self.field.wires.cut, machine.name, silently=True)
            )

    def _deafen(self) -> None:
        """One direction between two machines."""
        for machine in self._some():
            other = self._random.choice([name for name in self.field.names if name != machine.name])
            self._part(machine, "one direction cut", partial(self.field.wires.deafen, machine.name, other))

    def _part(self, machine: Machine, what: str, cut: Callable[[], object]) -> None:
        cut()
        self._hurt.add(machine.name)
        self.struck[what] += 1
        self._after(self._random.uniform(0.2, 2.5), partial(self._heal, machine))

    def _heal(self, machine: Machine) -> None:
        self.field.wires.heal(machine.name)
        if machine.process is not None:
            self._hurt.discard(machine.name)
