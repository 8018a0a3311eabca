"""A paglet that sends children over the mesh."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet
from paglets.core.errors import PagletError
from paglets.core.messages import Message
from paglets.patterns.coordination import MeshFanoutMixin, MeshFanoutState

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent


@dataclass
class SurveyState(MeshFanoutState):
    """What came in, by host."""

    found: dict[str, str] = field(default_factory=dict[str, str])


class Surveyor(MeshFanoutMixin, Paglet[SurveyState]):
    """Sends a child to every host; each tells where it is."""

    State = SurveyState

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "survey":
                return self.survey(message.args["hosts"])
            case "found":
                with self.locked_state() as state:
                    state.found[message.args["host"]] = message.args["text"]
                self.fanout_record_done(message.args["host"])
                return True
            case "report":
                done = self.fanout_wait_for(lambda: not self.state.pending_hosts, wait_timeout=0.2)
                return {"done": done, "found": self.state.found, "errors": self.state.errors}
            case "children":
                return {name: ref.to_wire() for name, ref in self.state.child_proxies.items()}
            case "end":
                self.fanout_cleanup_children()
                return [self.state.child_proxies, self.state.cleanup_errors, self.state.role]
            case _:
                return self.not_handled()

    def survey(self, hosts: list[str]) -> list[str]:
        self.fanout_reset(timeout=20.0)
        for host in self.fanout_select_hosts(hosts):
            self.fanout_prepare_clone(host)
            try:
                self.fanout_record_child_proxy(host.name, self.clone_to(host.name))
            except PagletError as error:
                self.fanout_record_error(host.name, error)
            finally:
                self.fanout_finish_clone_prepare()
        return self.state.pending_hosts

    def on_clone(self, event: CloneEvent) -> None:
        self.fanout_cleanup_children()  # its siblings are not its own

    def run(self) -> None:
        state = self.state
        if state.role != "child":
            return
        parent = self.context.get_proxy(state.parent_agent_id, state.parent_host_url)
        assert parent is not None
        parent.send(
            Message("found", {"host": state.target_host_name, "text": f"{state.role}@{self.context.name}"})
        )
