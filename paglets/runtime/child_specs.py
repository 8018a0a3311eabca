"""What a host and its child tell each other, as values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from paglets.core.incarnation import Incarnation
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.persistence.records import HookKind
from paglets.runtime.memory_files import Payload


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a child may use; applied before a byte of arrived state is touched. 0: no limit."""

    memory_bytes: int = 0
    """Address space beyond what an empty child has, once it runs."""
    decode_bytes: int = 0
    """Address space beyond that while the state is decoded; 0: derived from the payload's size."""
    decode_seconds: float = 30.0
    """Wall time that imports and decoding may take; the child is killed then."""
    cpu_seconds: int = 0
    open_files: int = 0


class CodePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whose classes may run here."""

    roots: tuple[str, ...] | None = None
    """Directories and archives that the class's module must come from; None: any module."""
    packages: tuple[str, ...] = ("paglets",)
    """Packages that may run wherever they come from: the built-in services."""
    search: tuple[str, ...] = ()
    """Appended to ``sys.path`` (never inserted) before anything is imported."""


class AdmitSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A paglet to bring to life."""

    agent_id: str
    incarnation: Incarnation
    class_name: str
    """``module:Qual.Name``"""
    state_class_name: str = ""
    """Empty: the class's own ``State``."""
    state_json: bytes = b"null"
    """JSON text: the fields of a new state as an object; null: the defaults. A payload goes first."""
    limits: Limits = Limits()
    code: CodePolicy = CodePolicy()
    host_name: str
    host_address: str
    work_dir: str
    """Made when the paglet first asks for it."""
    storage_dir: str
    """Root of the persistent storage of its class on this host."""
    storage_quota_bytes: int = 10 * 1024 * 1024


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One of a class's ``RESIDENT_SERVICES``, as plain data."""

    name: str
    version: str
    operations: tuple[str, ...]
    scope: ServiceScope
    lifecycle: ResidentLifecycle
    agent_id: str
    """Of the provider that a host keeps."""
    singleton: bool
    idle_timeout: float
    state: bytes = b"{}"
    """JSON text: the fields of that provider's first state."""


class ClassFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a class says of itself, without a paglet of it."""

    class_name: str
    services: tuple[ServiceFacts, ...]


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A paglet that could run: its classes are there and its state fits."""

    class_name: str
    state_class_name: str
    checkpoint: dict[str, Any] = {}
    """The fields of the class's ``CHECKPOINT``."""
    restart: dict[str, Any] = {}
    """The fields of the class's ``RESTART``."""
    hooks: tuple[HookKind, ...] = ()
    """The arriving hooks that it defines: those that it has not do nothing, and need not be run."""
    services: tuple[ServiceFacts, ...] = ()
    """What the class offers by itself."""


class DepartureKind(StrEnum):
    """Why a snapshot is taken."""

    DISPATCH = "dispatch"
    RETRACT = "retract"
    CLONE = "clone"
    DEACTIVATE = "deactivate"
    DISPOSE = "dispose"
    CHECKPOINT = "checkpoint"


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot to take, with the hook that goes before it.

    It runs on the thread that asked for it, which waits in its call ``call_id``; asked from outside (None),
    on the handler thread between two messages.
    """

    kind: DepartureKind
    event: dict[str, Any] = {}
    """The fields of the hook's event beyond ``PagletEvent``'s; deactivate: ``reason`` and ``request``."""
    call_id: int | None = None
    handler_wait: float = 5.0
    """Seconds that a thread other than the handler's waits for a handler in progress."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a departure gave. ``state`` is None for dispose."""

    state: Payload | None
    policy: dict[str, Any] = {}
    """Wire form of the deactivation policy that the paglet chose; deactivate only."""
    order: int = 0
    """Counts the states that its process has given: a greater one is the later state."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way into the paglet. ``body`` is opened by the paglet only."""

    kind: str
    message_id: str
    body: bytes = b"{}"
    """JSON text ``{"args": {...}, "arg": ..., "reply_to": ...}``"""
    sender: str | None = None
    priority: int = 5
    message_type: int = 0
    timestamp: float = 0.0


MAX_STATE_TEXT = 128 * 1024 * 1024
"""The longest JSON text of a state, in bytes: some 96 MiB of bytes in a state, or that much text."""


class CallThread(StrEnum):
    """On which of its threads a paglet asks."""

    HANDLER = "handler"
    RUN = "run"
    OTHER = "other"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Something a paglet asks for: an operation of ``paglets.remote.api``."""

    id: int
    host_url: str
    """The host that it is meant for; empty: the one that the paglet lives on."""
    method: str
    params: bytes
    """JSON text, checked by the host's side to be exactly one object."""
    thread: CallThread
    timeout: float | None = None
    descriptor: int | None = None
    """An open file that came beside it; closed when it is answered."""
