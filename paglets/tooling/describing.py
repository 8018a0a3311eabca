"""Describes the paglet classes of a module, in the process that has imported it."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import msgspec

from paglets.core.agent import Paglet
from paglets.core.errors import PagletError
from paglets.serialization.annotations import dataclass_shape
from paglets.serialization.codec import qualified_name
from paglets.serialization.plain import to_plain
from paglets.serialization.values import to_json
from paglets.tooling.class_records import AgentClassRecord

if TYPE_CHECKING:
    from types import ModuleType

_LONGEST = 2000  # characters of a description


def describe_module(module: ModuleType) -> tuple[list[AgentClassRecord], list[str]]:
    """The paglet classes that the module itself defines, and what is wrong with some.

    Left out are those that nobody can create: abstract ones, ones without a ``State`` (bases of others), and
    ones whose name begins with an underscore.
    """
    records: list[AgentClassRecord] = []
    errors: list[str] = []
    classes = [value for value in vars(module).values() if _is_creatable(value, module)]
    for value in dict.fromkeys(classes):  # once, also when it has several names
        name = f"{module.__name__}:{value.__qualname__}"
        try:
            records.append(_described(value, errors))
        except Exception as error:  # noqa: BLE001 - defaults, metaclasses and annotations are authors' code
            errors.append(f"Discovery class cannot be used: {name}: {_sentence(error)}")
    return records, errors


def _is_creatable(value: object, module: ModuleType) -> TypeGuard[type[Paglet[Any]]]:
    if not isinstance(value, type) or not issubclass(value, Paglet):
        return False
    cls = cast("type[Paglet[Any]]", value)
    return (
        cls.__module__ == module.__name__
        and "<" not in cls.__qualname__
        and not cls.__name__.startswith("_")
        and not inspect.isabstract(cls)
        and getattr(cls, "State", None) is not None
    )


def _described(cls: type[Paglet[Any]], errors: list[str]) -> AgentClassRecord:
    state: type[Any] = cls.state_class()
    dataclass_shape(state)  # raises for what could not move
    template: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(state):
        if not field.init:
            continue
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            required.append(field.name)
            continue
        try:
            # As JSON readers see it: bytes as a marker, sets as lists.
            template[field.name] = msgspec.json.decode(to_json(to_plain(_default(field))))
        except Exception as error:  # noqa: BLE001 - a default factory is authors' code
            where = f"{qualified_name(cls)}, field {field.name}"
            errors.append(f"Discovery default cannot be shown: {where}: {_sentence(error)}")
    return AgentClassRecord(
        class_name=qualified_name(cls),
        state_class_name=qualified_name(state),
        display_name=cls.__name__,
        description=_description(cls),
        state_template=template,
        required_state_fields=tuple(required),
    )


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _description(cls: type[Any]) -> str:
    text: object = vars(cls).get("__doc__")
    if not isinstance(text, str):
        return ""
    paragraph = inspect.cleandoc(text).partition("\n\n")[0]
    return " ".join(paragraph.split())[:_LONGEST]


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, PagletError) else f"{type(error).__name__}: {error}"
