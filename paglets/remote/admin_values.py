"""What the admin client takes and gives: values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.core.runtime_values import ServiceScope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerRef:
    """A host as an operator lists it: a name of the operator's choice and where the host is."""

    name: str
    url: str
    """``https://host:port``, or ``unix:/path.sock`` on the same machine."""
    enabled: bool = True
    """Servers that are not enabled are left out of what is asked of all."""
    local_start: bool = False
    """A note for user interfaces: this one may be started on this machine. Nothing here starts it."""


@dataclass(frozen=True, slots=True)
class AgentDiscoveryConfig:
    """Where to look for paglet classes; see ``paglets.tooling.discovery``."""

    paths: Sequence[str | Path] = ()
    """Python files, packages, and directories of them."""
    modules: Sequence[str] = ()
    """Modules by name; packages with all that is in them."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a server is, at one moment."""

    name: str
    url: str
    reachable: bool
    latency_ms: float | None
    """Milliseconds until it had answered; None when it did not."""
    active_count: int
    inactive_count: int
    error: str | None = None
    """Why it is not ``reachable``."""
    code_version: str | None = None


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A paglet as its host lists it."""

    server_name: str
    host_url: str
    agent_id: str
    class_name: str
    state_class_name: str
    active: bool


@dataclass(frozen=True, slots=True)
class ServiceSummary:
    """A service that a server knows of, and who offers it."""

    server_name: str
    name: str
    host_url: str
    """Where the provider is."""
    agent_id: str
    capabilities: tuple[str, ...] = ()
    scope: ServiceScope = ServiceScope.LOCAL
