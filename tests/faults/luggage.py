"""A paglet with a file that moves from host a to host b, and what has to be true of the file afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import TransferError
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from paglets.serialization.codec import qualified_name
from paglets.testing.points import here
from tests.faults.site import eventually

if TYPE_CHECKING:
    import concurrent.futures

    from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent
    from paglets.core.messages import Message
    from tests.faults.site import Copy, Site

CONTENT = bytes(range(256)) * 8_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Packed(PagletState):
    path: str = ""
    mode: str = "move"
    seen: str = ""
    """Digest of the file as the last arriving hook found it."""


class Carrier(Paglet[Packed]):
    """Has one file with it, and looks at it before anything else where it arrives."""

    State = Packed

    def on_creation(self, event: CreationEvent) -> None:
        self.register_file(self.state.path, name="file", mode=self.state.mode)

    def on_arrival(self, event: MobilityEvent) -> None:
        self._look()
        here().at("arrival")

    def on_clone(self, event: CloneEvent) -> None:
        self._look()
        here().at("clone")

    def _look(self) -> None:
        self.state.seen = hashlib.sha256(self.file_path("file").read_bytes()).hexdigest()

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "look":
                [file] = self.registered_files()
                digest = hashlib.sha256(Path(file.current_path).read_bytes()).hexdigest()
                return {"path": file.current_path, "digest": digest, "seen": self.state.seen}
            case "pack":
                return self.register_file(message.get_arg("path")).to_wire()
            case "go":
                try:
                    return self.dispatch(TransferTicket(message.get_arg("to"), timeout=10.0)).to_wire()
                except TransferError as error:
                    return f"{type(error).__name__}: {error}"
            case _:
                return self.not_handled()


@dataclass
class Removal:
    """One paglet that leaves a with its file."""

    site: Site
    kind: str
    agent_id: str
    source: Path
    mode: str
    call: concurrent.futures.Future[Any]

    def comes_by(self, host: str, point: str) -> None:
        """Wait until it is held at a point of that host."""
        node = self.site[host]
        eventually(
            lambda: node.points.is_reached(point) or self.call.done(),
            what=lambda: f"{point}\n{self.site.logs()}",
        )
        assert node.points.is_reached(point), f"{point} was not reached: {self.call}\n{self.site.logs()}"

    def finish(self, where: str | None = None) -> str:
        """Wait until all is settled, and check; where the paglet (of a clone: the clone, if any) is then."""
        self.call.exception(30.0)
        status = "inactive" if self.kind == "parked" else "active"
        if self.kind == "clone":
            found = self._finish_clone()
        else:
            copy = self.site.settled_as(status, self.agent_id)
            if self.kind == "retract":
                # Who asked may be dead while the source still sends; a message waits for the end of that.
                self.site.tell(copy.host, self.agent_id, "look")
                copy = self.site.settled_as(status, self.agent_id)
            found = copy.host
            self._check(copy)
        assert where in {None, found}, f"{found}: {self.call}\n{self.site.logs()}"
        gone = found == "b" and self.mode == "move" and self.kind != "clone"
        eventually(
            lambda: self.source.exists() is not gone, what=lambda: f"source, {found}\n{self.site.logs()}"
        )
        if not gone:
            assert self.source.read_bytes() == CONTENT
        self._nothing_else()
        return found

    def _finish_clone(self) -> str:
        original = self.site.settled_as("active", self.agent_id)
        assert original.host == "a"
        self._check(original)
        clones = [copy for copy in self.site.copies() if copy.agent_id != self.agent_id]
        assert all(copy.host == "b" for copy in clones)
        assert len(clones) <= 1
        for clone in clones:
            self._check(self.site.settled_as("active", clone.agent_id))
        return "b" if clones else "a"

    def _check(self, copy: Copy) -> None:
        """Its file is there, whole, where that copy is."""
        if copy.status == "inactive":
            self.site.proxy(copy.host, copy.agent_id).activate()
        found = self.site.tell(copy.host, copy.agent_id, "look")
        assert found["digest"] == DIGEST
        if copy.host == "b":
            assert Path(found["path"]).is_relative_to(self.site["b"].data_dir)
            assert self.kind == "parked" or found["seen"] == DIGEST
        else:
            assert found["path"] == str(self.source)

    def _nothing_else(self) -> None:
        """No directory for files is left that no paglet uses, and in those that are there is nothing else."""
        used = {
            name: {
                self.site.tell(name, copy.agent_id, "look")["path"]
                for copy in self.site.copies()
                if copy.host == name and copy.status == "active"
            }
            for name in ("a", "b")
        }

        def tidy() -> bool:
            return all(
                files_below(self.site, name) == {path for path in used[name] if path != str(self.source)}
                for name in ("a", "b")
            )

        eventually(
            tidy, what=lambda: f"{[files_below(self.site, name) for name in 'ab']} {used}\n{self.site.logs()}"
        )


def files_below(site: Site, name: str) -> set[str]:
    """Files that have come to a host, and empty directories."""
    root = site[name].data_dir / "files"
    found = set(root.rglob("*")) if root.exists() else set[Path]()
    return {str(each) for each in found if not any(other.parent == each for other in found)}


def set_out(site: Site, kind: str, root: Path, *, mode: str = "move") -> Removal:
    """Begin a move of that kind, with a file, from a to b."""
    agent_id, source = packed(site, root, mode)
    if kind == "parked":
        site.proxy("a", agent_id).deactivate()
    return Removal(site, kind, agent_id, source, mode, _begin(site, kind, agent_id))


def packed(site: Site, root: Path, mode: str = "move") -> tuple[str, Path]:
    """A paglet on a with a file, and the file."""
    source = root / "file.bin"
    source.write_bytes(CONTENT)
    state = msgspec.Raw(msgspec.json.encode({"path": str(source), "mode": mode}))
    params = api.CreateParams(class_name=qualified_name(Carrier), state=state)
    return site.ask("a", api.PAGLETS_CREATE, params)["agent_id"], source


def _begin(site: Site, kind: str, agent_id: str) -> concurrent.futures.Future[Any]:
    ticket = TransferTicket(site["b"].url, timeout=10.0).to_wire()
    if kind == "own":
        return site.soon(lambda: site.tell("a", agent_id, "go", to=site["b"].url))
    if kind == "retract":
        params = api.RetractParams(agent_id=agent_id, source_url=site["a"].url, timeout=10.0)
        return site.soon(lambda: site.ask("b", api.PAGLETS_RETRACT, params, timeout=30.0))
    if kind == "clone":
        clone = api.CloneParams(agent_id=agent_id, ticket=ticket)
        return site.soon(lambda: site.ask("a", api.PAGLETS_CLONE, clone, timeout=30.0))
    dispatch = api.DispatchParams(agent_id=agent_id, ticket=ticket)
    return site.soon(lambda: site.ask("a", api.PAGLETS_DISPATCH, dispatch, timeout=30.0))
