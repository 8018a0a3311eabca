"""Enumerations of the runtime, and the two checks that stand where strings become members.

Python APIs take members only; TOML, JSON and the wire hold strings, converted at the boundary.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TypeVar

EnumT = TypeVar("EnumT", bound=Enum)

ACTIVE = 1
"""A paglet that has a process."""
INACTIVE = 2
"""A paglet that is parked on disk."""


class ServiceScope(StrEnum):
    """Who may find a service."""

    LOCAL = "local"
    MESH = "mesh"


class ResidentLifecycle(StrEnum):
    """When a host starts a resident service."""

    LAZY = "lazy"
    EAGER = "eager"


class ArrivalMode(StrEnum):
    """Whether a paglet runs when it arrives, or is parked."""

    ACTIVATE = "activate"
    INACTIVE = "inactive"


class EnvelopeKind(StrEnum):
    """Why a paglet is packed up."""

    DISPATCH = "dispatch"
    CLONE = "clone"
    RETRACT = "retract"
    ACTIVATION = "activation"


class LaunchConfigSyncAction(StrEnum):
    """What a synchronisation of the launch configuration did."""

    COPIED = "copied"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    UPDATE_AVAILABLE = "update-available"


def require_enum(value: object, enum_cls: type[EnumT], field_name: str) -> EnumT:
    """The value itself when it is a member of ``enum_cls``; else ``TypeError``, for strings too."""
    if isinstance(value, enum_cls):
        return value
    raise TypeError(f"{field_name} must be a member of {enum_cls.__name__}, not {value!r}")


def enum_from_wire(value: object, enum_cls: type[EnumT], field_name: str) -> EnumT:
    """The member whose value is the string ``value``.

    Raises ``TypeError`` when it is no string, ``ValueError`` with the possible strings when none fits.
    """
    if not isinstance(value, str):
        raise TypeError(f"{field_name} must be a string, not {type(value).__name__}")
    for member in enum_cls:
        if member.value == value:
            return member
    raise ValueError(f"{field_name} must be one of: {', '.join(str(member.value) for member in enum_cls)}")
