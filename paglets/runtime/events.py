"""What happens on a host, told to whoever listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paglets.core.context_events import ContextEvent, ContextEventLog
    from paglets.runtime.here import Here


class Events:
    """The host's event log, which fills in who and where."""

    def __init__(self, log: ContextEventLog, here: Here) -> None:
        self.log = log
        self._here = here

    def emit(
        self,
        kind: str,
        *,
        agent_id: str | None = None,
        class_name: str | None = None,
        message_id: str | None = None,
        service_name: str | None = None,
        data: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> ContextEvent:
        """Add one event; listeners hear of it before this returns."""
        return self.log.emit(
            kind=kind,
            host_name=self._here.name,
            host_address=self._here.address,
            agent_id=agent_id,
            class_name=class_name,
            message_id=message_id,
            service_name=service_name,
            data=data or {},
            error=error,
        )
