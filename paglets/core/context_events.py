"""What happens on a host, as numbered events that people and programs can follow."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from paglets.core.wire_fields import checked

logger = logging.getLogger(__name__)

Listener = Callable[["ContextEvent"], object]


class EventKind(StrEnum):
    """Every kind of event."""

    CONTEXT_START = "context-start"
    CONTEXT_STOP = "context-stop"
    CREATE = "create"
    ARRIVAL = "arrival"
    DISPATCH = "dispatch"
    CLONE = "clone"
    RETRACT = "retract"
    DEACTIVATE = "deactivate"
    ACTIVATE = "activate"
    DISPOSE = "dispose"
    MESSAGE_DELIVERED = "message-delivered"
    MESSAGE_FAILED = "message-failed"
    SERVICE_ADVERTISE = "service-advertise"
    SERVICE_REMOVE = "service-remove"
    RESIDENT_SERVICE_CREATE = "resident-service-create"
    RESIDENT_SERVICE_ACTIVATE = "resident-service-activate"
    RESIDENT_SERVICE_DEACTIVATE = "resident-service-deactivate"
    TRANSFER_FAILED = "transfer-failed"
    TRANSFER_IN_DOUBT = "transfer-in-doubt"
    TRANSFER_SETTLED = "transfer-settled"
    ADOPTED = "adopted"
    QUARANTINED = "quarantined"
    PAGLET_CRASHED = "paglet-crashed"
    CHECKPOINT = "checkpoint"
    RECOVERED = "recovered"
    RESTARTED = "restarted"
    PEER_JOINED = "peer-joined"
    PEER_LEFT = "peer-left"
    PEER_FAILED = "peer-failed"
    SECURITY = "security"
    STORE_FAULT = "store-fault"
    STORE_RECOVERED = "store-recovered"
    EVENT_LISTENER_FAILED = "event-listener-failed"


@dataclass(frozen=True, slots=True)
class ContextEvent:
    """One thing that happened on a host."""

    event_id: int
    """Starts at 1 with the host and grows by 1."""
    kind: str
    host_name: str
    host_address: str
    timestamp: float = field(default_factory=time.time)
    agent_id: str | None = None
    class_name: str | None = None
    message_id: str | None = None
    service_name: str | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """All fields by name."""
        return {
            "event_id": self.event_id,
            "kind": self.kind,
            "host_name": self.host_name,
            "host_address": self.host_address,
            "timestamp": self.timestamp,
            "agent_id": self.agent_id,
            "class_name": self.class_name,
            "message_id": self.message_id,
            "service_name": self.service_name,
            "data": dict(self.data),
            "error": self.error,
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> ContextEvent:
        """Read what ``to_wire`` wrote; ``SerializationError`` for fields missing or of the wrong type."""
        text = (str, type(None))
        required = {"event_id": int, "kind": str, "host_name": str, "host_address": str}
        optional = {
            "timestamp": (float, int),
            "agent_id": text,
            "class_name": text,
            "message_id": text,
            "service_name": text,
            "data": dict,
            "error": text,
        }
        return cls(**checked("ContextEvent", payload, {**required, **optional}, required=required))


class ContextEventLog:
    """The latest events of a host, and those who want to hear of new ones. Safe from any thread.

    Listeners are called on the thread that emits, in the order in which they were added. The log holds the
    last ``capacity`` events.
    """

    def __init__(self, *, capacity: int = 1000) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._lock = threading.Lock()
        self._events: deque[ContextEvent] = deque(maxlen=capacity)
        self._listeners: list[Listener] = []
        self._last_id = 0

    def add_listener(self, listener: Listener) -> None:
        """Call this with every event from now on; adding it again changes nothing."""
        with self._lock:
            if listener not in self._listeners:
                self._listeners.append(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Call it no more; one that is not there is no error."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def emit(
        self,
        *,
        kind: str,
        host_name: str,
        host_address: str,
        agent_id: str | None = None,
        class_name: str | None = None,
        message_id: str | None = None,
        service_name: str | None = None,
        data: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> ContextEvent:
        """Log a new event, tell the listeners, and return it.

        A listener that raises does not stop the others; it is reported to them as
        ``event-listener-failed``. What fails over such a report is logged and goes no further.
        """
        with self._lock:
            self._last_id += 1
            event = ContextEvent(
                event_id=self._last_id,
                kind=str(kind),
                host_name=host_name,
                host_address=host_address,
                agent_id=agent_id,
                class_name=class_name,
                message_id=message_id,
                service_name=service_name,
                data=dict(data or {}),
                error=error,
            )
            self._events.append(event)
            listeners = list(self._listeners)
        for listener in listeners:
            failure = _tell(listener, event)
            if failure is not None and event.kind != EventKind.EVENT_LISTENER_FAILED:
                self._report(listener, event, failure)
        return event

    def events_since(self, since: int = 0, *, limit: int = 100) -> list[ContextEvent]:
        """The events whose id is greater than ``since``, oldest first, ``limit`` at most."""
        with self._lock:
            if not self._events or limit <= 0:
                return []
            start = max(0, since - self._events[0].event_id + 1)
            stop = min(len(self._events), start + limit)
            return [self._events[index] for index in range(start, stop)]

    def _report(self, listener: Listener, event: ContextEvent, failure: Exception) -> None:
        self.emit(
            kind=EventKind.EVENT_LISTENER_FAILED,
            host_name=event.host_name,
            host_address=event.host_address,
            data={"listener": _name_of(listener), "event_id": event.event_id, "event_kind": event.kind},
            error=f"{type(failure).__name__}: {failure}",
        )


def _tell(listener: Listener, event: ContextEvent) -> Exception | None:
    try:
        listener(event)
    except Exception as failure:
        logger.warning(
            "an event listener failed",
            exc_info=True,
            extra={"listener": _name_of(listener), "event_id": event.event_id, "event_kind": event.kind},
        )
        return failure
    return None


def _name_of(listener: Listener) -> str:
    return getattr(listener, "__qualname__", None) or type(listener).__qualname__
