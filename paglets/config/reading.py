"""Reads launch configurations: TOML text to checked values."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.config.bundled import BUNDLED_CLASSES
from paglets.config.launch_config import LaunchConfig, ResidentServiceConfig, StartupAgentConfig
from paglets.config.toml_tables import TomlTable, shown
from paglets.core.agent_ids import is_agent_id
from paglets.core.errors import HostError
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_FILE_BYTES = 1024 * 1024
"""Nobody writes a longer launch configuration; more is a wrong file."""

_CLASS_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_AGENT_KEYS = ("class", "use", "enabled", "agent_id", "singleton", "state", "init")
_SERVICE_KEYS = (*_AGENT_KEYS[:5], "lifecycle", "scope", "idle_timeout", "state", "init")


def load_launch_config(path: Path | str) -> LaunchConfig:
    """Read and check a launch configuration; no class is imported.

    Raises ``HostError`` that names the file, the table and the key, and what is allowed there.
    """
    path = Path(path)
    return parse_launch_config(read_config_file(path), path)


def parse_launch_config(data: bytes, path: Path) -> LaunchConfig:
    """The same of a file's bytes; ``path`` is what error messages call it."""
    document = TomlTable(path, "", _parsed(data, path))
    document.allow("launch", "startup_agents", "resident_services")
    launch = document.table("launch")
    launch.allow("demo_config_id", "demo_config_version", "sync_demo_config")
    agents = tuple(_startup_agent(table) for table in document.tables("startup_agents"))
    services = tuple(_resident_service(table) for table in document.tables("resident_services"))
    _refuse_twins((*services, *agents))
    return LaunchConfig(
        path=path,
        demo_config_id=launch.optional_text("demo_config_id") or "",
        demo_config_version=launch.optional_count("demo_config_version") or 0,
        sync_demo_config=launch.optional_flag("sync_demo_config") is not False,
        startup_agents=agents,
        resident_services=services,
    )


def read_config_file(path: Path) -> bytes:
    """The file's bytes; ``HostError`` when it is no regular file, too large, or cannot be read."""
    try:
        # Not blocking: a FIFO in the file's place must not hang a start.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise HostError(f"{path} is not a regular file")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise HostError(
            f"the launch configuration {path} cannot be read: {error.strerror or error}"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise HostError(f"{path} is larger than {MAX_FILE_BYTES} bytes; that is no launch configuration")
    return data


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise HostError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise HostError(f"{path} is not TOML: {error}") from None
    except (RecursionError, ValueError) as error:
        # ValueError: a number with more digits than Python reads.
        raise HostError(f"{path} cannot be read as TOML: {error}") from None


def _startup_agent(table: TomlTable) -> StartupAgentConfig:
    table.allow(*_AGENT_KEYS)
    class_name, use = _class(table)
    return StartupAgentConfig(
        class_name=class_name,
        use=use,
        enabled=table.optional_flag("enabled") is not False,
        agent_id=_agent_id(table),
        singleton=table.optional_flag("singleton"),
        state=table.optional_json_object("state"),
        init=table.optional_json("init"),
        source=table.source,
    )


def _resident_service(table: TomlTable) -> ResidentServiceConfig:
    table.allow(*_SERVICE_KEYS)
    class_name, use = _class(table)
    return ResidentServiceConfig(
        class_name=class_name,
        use=use,
        enabled=table.optional_flag("enabled") is not False,
        agent_id=_agent_id(table),
        singleton=table.optional_flag("singleton"),
        lifecycle=table.optional_member("lifecycle", ResidentLifecycle),
        scope=table.optional_member("scope", ServiceScope),
        idle_timeout=table.optional_seconds("idle_timeout"),
        state=table.optional_json_object("state"),
        init=table.optional_json("init"),
        source=table.source,
    )


def _class(table: TomlTable) -> tuple[str | None, str | None]:
    class_name, use = table.optional_text("class"), table.optional_text("use")
    names = ", ".join(BUNDLED_CLASSES)
    if class_name is not None and use is not None:
        table.fail("use", "cannot stand beside 'class'; give one of the two")
    if class_name is None and use is None:
        table.fail("class", f"is missing; give it as 'module:Class', or 'use' as one of: {names}")
    if class_name is not None and not _CLASS_NAME.fullmatch(class_name):
        table.fail("class", f"must look like 'module:Class', not {shown(class_name)}")
    if use is not None and use not in BUNDLED_CLASSES:
        table.fail("use", f"must be one of: {names}; not {shown(use)}")
    return class_name, use


def _agent_id(table: TomlTable) -> str | None:
    agent_id = table.optional_text("agent_id")
    if agent_id is not None and not is_agent_id(agent_id):
        table.fail(
            "agent_id", f"must be up to 128 letters, digits and the marks . _ : -, not {shown(agent_id)}"
        )
    return agent_id


def _refuse_twins(configs: Iterable[StartupAgentConfig | ResidentServiceConfig]) -> None:
    """No two enabled tables may ask for the same paglet."""
    first: dict[str, str] = {}
    for config in configs:
        if not config.enabled or config.agent_id is None:
            continue
        if config.agent_id in first:
            raise HostError(
                f"{config.source}, key 'agent_id': {config.agent_id!r} is taken by {first[config.agent_id]}; "
                "every paglet needs an id of its own"
            )
        first[config.agent_id] = config.source
