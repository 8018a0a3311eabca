"""The field of the laboratory: its machines, how to ask their hosts, and how to count what is on them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletError
from paglets.remote import api, outbox_api
from paglets.remote.client import HostClient
from tests.faults.laboratory.machine import Machine
from tests.faults.laboratory.wires import wires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOCKETS = "paglets-laboratory-"
"""How the directories of sockets begin; the process id of their run comes next."""
_OURS = ("PAGLETS_DATA_DIR", "PAGLETS_MESH_DIR", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET")
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Copy:
    """One paglet as one host shows it."""

    host: str
    agent_id: str
    status: str
    lineage: int
    epoch: int
    pid: int | None

    @property
    def at_rest(self) -> bool:
        """Whether it is alive and nothing is under way with it."""
        return self.status in {"inactive", "failed"} or (self.status == "active" and self.pid is not None)


class Field:
    """Some machines of one mesh."""

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        self.names = names
        self.files = root / "files"
        self.files.mkdir(parents=True)
        self._sockets = Path(tempfile.mkdtemp(prefix=f"{SOCKETS}{os.getpid()}-"))
        self.environ = {
            **{name: value for name, value in os.environ.items() if name not in _OURS},
            "XDG_RUNTIME_DIR": str(self._sockets),
            "PAGLETS_MESH_DIR": str(root / "mesh"),
            "PAGLETS_LOG": os.environ.get("PAGLETS_LOG", "info"),
        }
        self.wires = wires(names)
        self.machines = {name: Machine(name, root, self.wires, self.environ) for name in names}
        self._names = {machine.url: machine.name for machine in self.machines.values()}
        for machine in self.machines.values():
            machine.peers = tuple(url for url in self._names if url != machine.url)
        self.client = HostClient(mesh_dir=root / "mesh", timeout=20.0)

    def __iter__(self) -> Iterator[Machine]:
        return iter(self.machines.values())

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def name_of(self, url: str) -> str:
        """Whose URL that is."""
        return self._names[url]

    def start(self) -> None:
        """Start all machines; the first one makes the mesh."""
        first, *others = self
        first.start()
        self.wait(lambda: self.ready(first), "the first host is ready", _READY_SECONDS)
        for machine in others:
            machine.start()
        self.wait(lambda: all(map(self.ready, self)), "all hosts are ready", _READY_SECONDS)

    def close(self) -> None:
        """Leave nothing of it but its directory."""
        self.client.close()
        for machine in self:
            machine.cut_power()
        self.wires.close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def wait(self, condition: Callable[[], object], until: str, within: float) -> None:
        """Wait for a condition, in bounds: ``TimeoutError`` says what was waited for."""
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {within:g} s in vain until {until}")
            time.sleep(0.05)

    # --- what can be asked

    def ask(self, name: str, method: str, params: msgspec.Struct, timeout: float = 20.0) -> Any:
        """Call an operation of a host over its local socket."""
        url = f"unix:{self.machines[name].socket}"
        return msgspec.json.decode(self.client.call(url, method, params, timeout=timeout))

    def ready(self, machine: Machine) -> bool:
        """Whether it answers, and all paglets of its last life are back."""
        with suppress(PagletError):
            return bool(self.ask(machine.name, api.HOST_STATUS, api.NoParams(), 5.0)["ready"])
        return False

    # --- counting

    def copies(self) -> list[Copy]:
        """What all hosts show, resident services apart."""
        found: list[Copy] = []
        for machine in self:
            cursor: str | None = ""
            while cursor is not None:
                params = api.PagletsListParams(state="all", cursor=cursor)
                page = self.ask(machine.name, api.PAGLETS_LIST, params)
                found += [
                    Copy(
                        machine.name,
                        *(each[key] for key in ("agent_id", "status", "lineage", "epoch", "pid")),
                    )
                    for each in page["agents"]
                    if not each["resident"]
                ]
                cursor = page.get("cursor")
        return found

    def transfers(self) -> list[dict[str, Any]]:
        """What is under way or in doubt."""
        return [
            {"at": machine.name, **transfer}
            for machine in self
            for transfer in self.ask(machine.name, api.TRANSFERS_LIST, api.NoParams())["transfers"]
        ]

    def waiting(self) -> list[dict[str, Any]]:
        """What is in the outboxes: messages, and paglets that wait for their target."""
        paglets = [
            {"at": machine.name, **each}
            for machine in self
            for each in self.ask(machine.name, outbox_api.OUTBOX_PAGLETS, outbox_api.PagletsWaitingParams())[
                "paglets"
            ]
        ]
        return paglets + self._numbered(outbox_api.OUTBOX_LIST, "messages")

    def dead_letters(self) -> list[dict[str, Any]]:
        """What could not be delivered."""
        return self._numbered(outbox_api.DEAD_LETTERS_LIST, "dead_letters")

    def _numbered(self, method: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for machine in self:
            cursor: int | None = 0
            while cursor is not None:
                page = self.ask(machine.name, method, outbox_api.NumberedListParams(cursor=cursor))
                found += [{"at": machine.name, **each} for each in page[key]]
                cursor = page["cursor"]
        return found
