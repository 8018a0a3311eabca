"""Paglets that carry files and handle artifacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import TransferError

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent, MobilityEvent
    from paglets.core.messages import Message


@dataclass
class Luggage(PagletState):
    seen: list[str] = field(default_factory=list[str])


class Courier(Paglet[Luggage]):
    State = Luggage

    def on_arrival(self, event: MobilityEvent) -> None:
        self._look("arrival")

    def on_clone(self, event: CloneEvent) -> None:
        self._look("clone")

    def on_dispatch_failed(self, event: MobilityEvent) -> None:
        self._look("failed")

    def _look(self, what: str) -> None:
        found = {each.name: each.current_path for each in self.registered_files()}
        shown = [
            f"{name}={Path(path).read_text()[:20]}" for name, path in found.items() if Path(path).is_file()
        ]
        self.state.seen.append(f"{what}@{self.context.name}:{','.join(shown)}")

    def handle_message(self, message: Message) -> Any:
        args = message.args
        match message.kind:
            case "register":
                return self.register_file(
                    args["path"], name=args.get("name"), mode=args.get("mode", "copy")
                ).to_wire()
            case "work":
                path = self.work_dir() / "made.txt"
                path.write_text(args["text"])
                return self.register_file(path, mode=args.get("mode", "copy")).to_wire()
            case "unregister":
                return self.unregister_file(args["name"])
            case "files":
                return [each.to_wire() for each in self.registered_files()]
            case "path":
                return str(self.file_path(args["name"]))
            case "seen":
                return self.state.seen
            case _:
                return self._with_artifacts(message)

    def _with_artifacts(self, message: Message) -> Any:
        args = message.args
        match message.kind:
            case "go":
                try:
                    self.dispatch(args["to"])
                except TransferError as error:
                    return f"stayed: {error}"
                return "went"
            case "upload":
                return self.upload_artifact(args["path"], host_url=args.get("to")).to_wire()
            case "download":
                ref = self.download_artifact(args["artifact"], args["target"], move=args.get("move", False))
                return ref.to_wire()
            case "delete":
                return self.delete_artifact(args["artifact"])
            case "fail":
                raise ValueError("no, thanks")
            case _:
                return self.not_handled()
