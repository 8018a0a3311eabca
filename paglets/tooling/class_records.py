"""What discovery finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AgentClassRecord:
    """A paglet class that can be created."""

    class_name: str
    """``module:Class``, as ``create_agent`` and ``paglets create`` take it."""
    state_class_name: str
    display_name: str
    description: str
    """The first paragraph of the class's docstring, on one line."""
    state_template: dict[str, Any] = field(default_factory=dict[str, Any])
    """The defaults of the state's fields, as JSON values."""
    required_state_fields: tuple[str, ...] = ()
    """Fields without a default: whoever creates one has to give these."""


@dataclass(frozen=True, slots=True)
class DiscoveryResult:
    """The classes that were found, by name, and a sentence for each source that is not as it should be."""

    agent_classes: list[AgentClassRecord] = field(default_factory=list[AgentClassRecord])
    errors: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class ModuleAnswer:
    """What is in one module."""

    records: list[AgentClassRecord] = field(default_factory=list[AgentClassRecord])
    errors: list[str] = field(default_factory=list[str])
    package: list[str] = field(default_factory=list[str])
    """The directories in which a package keeps its modules."""
