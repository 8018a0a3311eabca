"""One question to all hosts at once: a clone on each reads the files that lie there, and tells what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet
from paglets.core.errors import PagletError
from paglets.core.messages import Message
from paglets.patterns.coordination import MeshFanoutMixin, MeshFanoutState

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent
    from paglets.remote.mesh import HostRef

FOLDER_PROPERTY = "folder"
PATIENCE = 30.0
"""Seconds for all hosts together."""


@dataclass
class SearchState(MeshFanoutState):
    """What is looked for, and by host what was found."""

    text: str = ""
    found: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


class Search(MeshFanoutMixin, Paglet[SearchState]):
    """Messages: ``find {"text": ...}`` begins; ``result`` answers what there is, ``done`` among it."""

    State = SearchState

    def on_clone(self, event: CloneEvent) -> None:
        self.state.found = {}

    def run(self) -> None:
        """The searching half of a child, the gathering half of the one that was asked."""
        if self.state.role == "child":
            self._look_here()
            return
        while True:
            self.wait_state(lambda: bool(self.state.text) and not self.state.done_hosts)
            self._ask_everybody()

    def handle_message(self, message: Message) -> Any:
        if message.kind == "find":
            self.fanout_reset(timeout=PATIENCE)
            self.state.found, self.state.text = {}, message.get_arg("text")
            self.notify_all_state_changed()
            return "searching"
        if message.kind == "found":
            host = message.get_arg("host")
            self.state.found[host] = message.get_arg("lines")
            self.fanout_record_done(host)
            return None
        if message.kind == "result":
            asked = {*self.state.done_hosts, *self.state.errors}
            return {
                "done": bool(asked) and not self.state.pending_hosts,
                "found": dict(sorted(self.state.found.items())),
                "errors": self.state.errors,
            }
        return self.not_handled()

    def _ask_everybody(self) -> None:
        for host in self.fanout_available_hosts():
            self._send_child(host)
        self.fanout_wait_for(lambda: not self.state.pending_hosts, wait_timeout=PATIENCE)
        self.fanout_expire_pending("no answer in time")
        self.fanout_cleanup_children()
        self.wait_state(lambda: not self.state.done_hosts)

    def _send_child(self, host: HostRef) -> None:
        self.fanout_prepare_clone(host)
        try:
            self.fanout_record_child_proxy(host.name, self.clone_to(host.name))
        except PagletError as error:
            self.fanout_record_error(host.name, error)
        finally:
            self.fanout_finish_clone_prepare()

    def _look_here(self) -> None:
        lines: list[str] = []
        folder = Path(str(self.context.get_property(FOLDER_PROPERTY, ".")))
        for path in sorted(folder.rglob("*.txt")):
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if self.state.text in line:
                    lines.append(f"{path.relative_to(folder)}:{number}: {line.strip()}")
        parent = self.context.get_proxy(self.state.parent_agent_id, self.state.parent_host_url)
        if parent is not None:
            parent.send(Message("found", {"host": self.context.name, "lines": lines}))
