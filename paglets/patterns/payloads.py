"""Payloads that a paglet class names: dataclasses as plain data and back, with errors that say whose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from paglets.core.errors import SerializationError, ServiceContractError
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def encode_payload(what: str, wanted: type[Any], value: object) -> dict[str, Any]:
    """The fields of a payload as plain values.

    ``what`` names the payload in errors. ``wanted`` is a dataclass, or ``dict`` for plain data as it is.
    ``ServiceContractError`` for a value of another type.
    """
    if type(value) is not wanted:
        raise ServiceContractError(f"{what} is a {wanted.__qualname__}, not a {type(value).__qualname__}")
    if isinstance(value, dict):
        return dict(cast("dict[str, Any]", value))
    try:
        return dataclass_to_wire(value)
    except SerializationError as error:
        raise ServiceContractError(f"{what}: {error}") from error


def decode_payload(what: str, wanted: type[T], data: Mapping[str, Any]) -> T:
    """The payload from what ``encode_payload`` made; ``ServiceContractError`` when it does not fit."""
    if wanted is dict:
        return cast("T", dict(data))
    try:
        return dataclass_from_wire(wanted, data)
    except SerializationError as error:
        raise ServiceContractError(f"{what}: {error}") from error
