"""What a launch configuration says, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.core.runtime_values import LaunchConfigSyncAction, ResidentLifecycle, ServiceScope


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupAgentConfig:
    """One ``[[startup_agents]]`` table. Exactly one of ``class_name`` and ``use`` is set."""

    class_name: str | None = None
    """``module:Class``; the key ``class``. Only a name: nothing is imported here."""
    use: str | None = None
    """A class that comes with the program, by the name of its service."""
    enabled: bool = True
    agent_id: str | None = None
    """None: the host chooses one."""
    singleton: bool | None = None
    state: dict[str, Any] | None = None
    """The fields of the first state, as JSON values; None: the class's defaults."""
    init: Any = None
    """What ``on_creation`` gets, as a JSON value."""
    source: str = ""
    """Where this stands, for error messages: the file and the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentServiceConfig:
    """One ``[[resident_services]]`` table. None: what the class's own ``ResidentServiceSpec`` says."""

    class_name: str | None = None
    use: str | None = None
    enabled: bool = True
    agent_id: str | None = None
    singleton: bool | None = None
    lifecycle: ResidentLifecycle | None = None
    scope: ServiceScope | None = None
    idle_timeout: float | None = None
    """Seconds without a lease after which a lazy service is parked; more than 0."""
    state: dict[str, Any] | None = None
    init: Any = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class LaunchConfig:
    """A launch configuration file, checked."""

    path: Path
    demo_config_id: str = ""
    """Which bundled configuration the file came from; empty: none, it is all the user's own."""
    demo_config_version: int = 0
    sync_demo_config: bool = True
    """Whether a newer bundled version may be offered in its place."""
    startup_agents: tuple[StartupAgentConfig, ...] = ()
    """All tables in the order of the file, those that are not enabled too."""
    resident_services: tuple[ResidentServiceConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoStartSpec:
    """What a host is to start by itself, once names are resolved. None: what the class itself says."""

    class_name: str
    """``module:Class``."""
    agent_id: str | None = None
    singleton: bool | None = None
    """For startup agents never None: whether to leave it when the host has a paglet of that class already."""
    lifecycle: ResidentLifecycle | None = None
    scope: ServiceScope | None = None
    idle_timeout: float | None = None
    state: dict[str, Any] | None = None
    init: Any = None
    source: str = ""
    """Where it was asked for, for error messages: the file and the table."""


@dataclass(frozen=True, slots=True)
class LaunchConfigSyncResult:
    """What a synchronisation did, and a sentence for people."""

    action: LaunchConfigSyncAction
    path: Path
    message: str
    backup_path: Path | None = None
    """Where the user's former file is now; only when it was updated."""
