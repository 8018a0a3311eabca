"""Paglets that use the system services. A module of its own, because their processes import it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.runtime_values import ServiceScope
from paglets.patterns.notifications import NotificationMixin, NotificationSeverity
from paglets.system.mesh_info import MESH_INFO, SELECT_TARGETS, TargetSelectionRequest
from paglets.system.server_info import LOAD, SERVER_INFO
from paglets.system.user_info import STREAM, USER_INFO

if TYPE_CHECKING:
    from paglets.core.messages import Message


@dataclass
class UserState(PagletState):
    """Nothing."""


class UserOfServices(NotificationMixin, Paglet[UserState]):
    """Answers ``load``, ``targets``, ``tell`` and ``told`` with what the services say."""

    State = UserState

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "load":
                with self.lease_contract(SERVER_INFO, operation=LOAD) as lease:
                    return lease.call(LOAD).cpu_count
            case "targets":
                request = TargetSelectionRequest(count=9)
                chosen = self.require_contract(MESH_INFO).call(SELECT_TARGETS, request)
                return sorted(target.host_name for target in chosen.targets)
            case "tell":
                return self.notify_user_info(NotificationSeverity.WARNING, "Cellar", "it is wet", job_id="j")
            case "told":
                reply = self.require_contract(USER_INFO, scope=ServiceScope.MESH).call(STREAM)
                return [[each.severity.value, each.title, each.agent_id] for each in reply.notifications]
            case _:
                return self.not_handled()
