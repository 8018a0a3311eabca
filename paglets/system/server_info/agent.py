"""The server-info service: looks at the machine when it is asked, and keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from paglets.core.agent import Paglet, PagletState
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.services.resident import ResidentServiceSpec
from paglets.system.server_info.contract import (
    DF,
    LOAD,
    PLIST,
    SERVER_INFO,
    SERVER_INFO_AGENT_ID,
    SUMMARY,
    FileSystems,
    Load,
    ProcessList,
    ProcessListRequest,
    Summary,
)

if TYPE_CHECKING:
    from paglets.core.messages import Message
    from paglets.services.contracts import EmptyPayload


@dataclass(slots=True)
class ServerInfoState(PagletState):
    """Nothing: each answer is read from the machine."""


class ServerInfo(Paglet[ServerInfoState]):
    """Tells how its host's machine is. What the machine cannot tell is left out, and never an error.

    What reads the machine takes some MiB, so it is imported at the first question.
    """

    State = ServerInfoState
    RESIDENT_SERVICES: ClassVar[tuple[ResidentServiceSpec, ...]] = (
        ResidentServiceSpec(
            SERVER_INFO,
            scope=ServiceScope.MESH,
            lifecycle=ResidentLifecycle.LAZY,
            agent_id=SERVER_INFO_AGENT_ID,
        ),
    )

    def handle_message(self, message: Message) -> Any:
        """Answer the operations of ``SERVER_INFO``."""
        return SERVER_INFO.route(
            message,
            {LOAD: self._load, DF: self._df, PLIST: self._plist, SUMMARY: self._summary},
            default=self.not_handled,
        )

    def _load(self, _request: EmptyPayload) -> Load:
        from paglets.system.server_info.machine import read_load  # noqa: PLC0415 - see the class

        return read_load()

    def _df(self, _request: EmptyPayload) -> FileSystems:
        from paglets.system.server_info.machine import read_file_systems  # noqa: PLC0415 - see the class

        return read_file_systems()

    def _plist(self, request: ProcessListRequest) -> ProcessList:
        from paglets.system.server_info.processes import read_processes  # noqa: PLC0415 - see the class

        return read_processes(request)

    def _summary(self, _request: EmptyPayload) -> Summary:
        from paglets.system.server_info.machine import read_summary  # noqa: PLC0415 - see the class

        return read_summary(self.context.name, self.context.address)
