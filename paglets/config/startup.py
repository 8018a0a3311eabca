"""The launch configuration of a host: what it starts by itself, and how a newer one is offered."""

from __future__ import annotations

from paglets.config.bundled import bundled_launch_config_text
from paglets.config.launch_config import (
    AutoStartSpec,
    LaunchConfig,
    LaunchConfigSyncResult,
    ResidentServiceConfig,
    StartupAgentConfig,
)
from paglets.config.reading import load_launch_config
from paglets.config.resolving import resolve_resident_service, resolve_startup_agent
from paglets.config.syncing import sync_launch_config

__all__ = [
    "AutoStartSpec", "LaunchConfig", "LaunchConfigSyncResult", "ResidentServiceConfig", "StartupAgentConfig",
    "bundled_launch_config_text", "load_launch_config", "resolve_resident_service", "resolve_startup_agent",
    "sync_launch_config",
]  # fmt: skip
