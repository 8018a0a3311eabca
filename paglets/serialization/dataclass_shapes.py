"""Dataclasses by field: how an instance becomes a dict and is built again from one."""

from __future__ import annotations

from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, cast

from paglets.serialization.mismatch import MismatchError, expected

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field

    from paglets.serialization.shapes import Shape

    Fields = list[tuple[Field[Any], Shape]]


def fill(shape: Shape, cls: type[Any], fields: Fields) -> None:
    """Give an empty shape of a dataclass what it does.

    It is filled, not made, because a field may lead back to the same dataclass.
    """
    shape.encode = _encoder(cls, [(each.name, part) for each, part in fields])
    shape.decode = _decoder(cls, fields)


def _encoder(cls: type[Any], fields: list[tuple[str, Shape]]) -> Callable[[Any], dict[str, Any]]:
    def encode(value: Any) -> dict[str, Any]:
        if type(value) is not cls:
            if isinstance(value, cls):
                raise MismatchError(
                    f"this {type(value).__qualname__} would come back as {cls.__qualname__}, without what it "
                    f"adds; annotate the subclass, or a union of both"
                )
            raise expected(cls.__qualname__, value)
        result: dict[str, Any] = {}
        name = ""
        try:
            for name, shape in fields:
                part = getattr(value, name)
                result[name] = part if type(part) in shape.same else shape.encode(part)
        except MismatchError as mismatch:
            raise mismatch.at(f".{name}") from None
        except AttributeError:
            if hasattr(value, name):
                raise
            raise MismatchError("the field was never set", f".{name}") from None
        return result

    return encode


def _decoder(cls: type[Any], fields: Fields) -> Callable[[Any], Any]:
    parts = [
        (each.name, shape, each.init, each.default is MISSING and each.default_factory is MISSING)
        for each, shape in fields
    ]

    def decode(value: Any) -> Any:
        if type(value) is not dict:
            raise expected(f"an object for {cls.__qualname__}", value)
        given = cast("dict[str, Any]", value)
        arguments: dict[str, Any] = {}
        later: dict[str, Any] = {}
        name = ""
        try:
            for name, shape, init, required in parts:
                if name in given:
                    part = given[name]
                    fit = part if type(part) in shape.same else shape.decode(part)
                    (arguments if init else later)[name] = fit
                elif required and init:
                    raise _missing()
        except MismatchError as mismatch:
            raise mismatch.at(f".{name}") from None
        try:
            instance = cls(**arguments)
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise MismatchError(
                f"{cls.__qualname__} cannot be built: {type(error).__name__}: {error}"
            ) from error
        for name, part in later.items():
            object.__setattr__(instance, name, part)  # frozen ones, too
        return instance

    return decode


def _missing() -> MismatchError:
    return MismatchError("the field is missing, and has no default")
