"""From what a launch configuration says to what a host is to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.config.bundled import BUNDLED_CLASSES
from paglets.config.launch_config import AutoStartSpec
from paglets.core.errors import HostError

if TYPE_CHECKING:
    from paglets.config.launch_config import ResidentServiceConfig, StartupAgentConfig


def resolve_startup_agent(config: StartupAgentConfig) -> AutoStartSpec:
    """What to create when the host starts, whether the table is enabled or not; nothing is imported.

    Unless the table says ``singleton = false``, a host that has the paglet already (by its id; without one,
    any of its class) leaves it as it is. ``HostError`` when ``use`` names no class that is known.
    """
    return AutoStartSpec(
        class_name=_class_name(config),
        agent_id=config.agent_id,
        singleton=config.singleton is not False,
        state=config.state,
        init=config.init,
        source=config.source,
    )


def resolve_resident_service(config: ResidentServiceConfig) -> AutoStartSpec:
    """Which service to keep; None stands for what the class's own ``ResidentServiceSpec`` says.

    Nothing is imported, and a table that is not enabled is resolved too. ``HostError`` when ``use`` names no
    class that is known.
    """
    return AutoStartSpec(
        class_name=_class_name(config),
        agent_id=config.agent_id,
        singleton=config.singleton,
        lifecycle=config.lifecycle,
        scope=config.scope,
        idle_timeout=config.idle_timeout,
        state=config.state,
        init=config.init,
        source=config.source,
    )


def _class_name(config: StartupAgentConfig | ResidentServiceConfig) -> str:
    where = config.source or type(config).__name__
    if (config.class_name is None) == (config.use is None):
        raise HostError(f"{where}: exactly one of 'class' and 'use' must be given")
    if config.use is None:
        return config.class_name or ""
    if config.use not in BUNDLED_CLASSES:
        raise HostError(
            f"{where}, key 'use': must be one of: {', '.join(BUNDLED_CLASSES)}; not {config.use!r}"
        )
    return BUNDLED_CLASSES[config.use]
