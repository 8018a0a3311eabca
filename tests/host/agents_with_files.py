"""Paglets that have something open, or write files where they are."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from paglets.core.agent import NOT_HANDLED
from tests.host.agents import Recorder

if TYPE_CHECKING:
    from paglets.core.messages import Message


class HasFiles(Recorder):
    """Has resources open, and directories."""

    def own(self, message: Message) -> Any:
        if message.kind in {"work", "files", "store", "read", "fill", "escape"}:
            return self._use_files(message)
        match message.kind:
            case "open":
                for name in message.args["names"]:
                    self.resources.register(
                        name, name, self._close, suppress=name in message.args.get("suppress", [])
                    )
                return self.resources.names()
            case "names":
                return self.resources.names()
            case "fix":
                self.state.init = None
                return None
            case "break":
                self.state.init = message.get_arg()
                return None
            case "crash":
                os._exit(9)
            case "go":
                return self.dispatch(message.get_arg("to")).to_wire()
            case _:
                return NOT_HANDLED

    def _use_files(self, message: Message) -> Any:
        match message.kind:
            case "work":
                path = self.work_dir()
                (path / message.get_arg("file", "file")).write_text(self.context.name)
                return str(path)
            case "files":
                path = self.work_dir(create=False)
                return sorted(each.name for each in path.iterdir()) if path.exists() else None
            case "store":
                storage = self.persistent_storage()
                storage.write_text(message.args["name"], message.args["text"])
                return storage.status().used_bytes
            case "read":
                return self.persistent_storage().read_bytes(message.args["name"])
            case "fill":
                self.persistent_storage(quota_bytes=100).write_bytes("big", b"x" * 101)
            case _:
                with contextlib.suppress(ValueError):
                    self.persistent_storage().write_text("../outside", "x")
                    return "escaped"
        return None

    def _close(self, name: str) -> None:
        if name == self.state.init:
            raise OSError(f"{name} is stuck")
        self.note(f"close {name}")


class OthersFiles(HasFiles):
    """Another class, so other storage."""
