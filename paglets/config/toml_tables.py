"""Tables of a TOML file, read key by key; every complaint names the file, the table and the key."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from paglets.core.errors import HostError
from paglets.core.runtime_values import enum_from_wire

if TYPE_CHECKING:
    from enum import Enum
    from pathlib import Path

EnumT = TypeVar("EnumT", bound="Enum")

MAX_NESTING = 64
"""How deep arrays and tables of a state may nest."""
_SHOWN = 60  # characters of a wrong value that are quoted


class TomlTable:
    """One table. The ``optional_`` methods answer None for a key that is not there."""

    def __init__(self, path: Path, name: str, fields: dict[str, Any]) -> None:
        self.source = f"{path}: {name}" if name else str(path)
        """What this is, for error messages: the file and the table."""
        self._path = path
        self._fields = fields

    def allow(self, *keys: str) -> None:
        """Complain of the first key that is none of these."""
        for key in self._fields:
            if key not in keys:
                self.fail(key, f"is not known; allowed here: {', '.join(keys)}")

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._fields

    def fail(self, key: str, what: str) -> NoReturn:
        """Raise the ``HostError`` that says what is wrong with a key."""
        raise HostError(f"{self.source}, key {shown(key)}: {what}")

    def optional_text(self, key: str) -> str | None:
        """A string that is not empty."""
        value = self._fields.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            self.fail(key, f"must be a string that is not empty, not {shown(value)}")
        return value

    def optional_flag(self, key: str) -> bool | None:
        """True or false."""
        value = self._fields.get(key)
        if value is not None and not isinstance(value, bool):
            self.fail(key, f"must be true or false, not {shown(value)}")
        return value

    def optional_count(self, key: str) -> int | None:
        """A whole number of 0 or more."""
        value = self._fields.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.fail(key, f"must be a whole number of 0 or more, not {shown(value)}")
        return value

    def optional_seconds(self, key: str) -> float | None:
        """A finite number above 0."""
        value = self._fields.get(key)
        if value is None:
            return None
        seconds = _as_float(value)
        if seconds is None or not math.isfinite(seconds) or seconds <= 0:
            self.fail(key, f"must be a number of seconds above 0, not {shown(value)}")
        return seconds

    def optional_member(self, key: str, enum_cls: type[EnumT]) -> EnumT | None:
        """A member of ``enum_cls``, written as its value."""
        if key not in self._fields:
            return None
        try:
            return enum_from_wire(self._fields[key], enum_cls, key)
        except (TypeError, ValueError):
            allowed = ", ".join(str(member.value) for member in enum_cls)
            self.fail(key, f"must be one of: {allowed}; not {shown(self._fields[key])}")

    def optional_json(self, key: str) -> Any:
        """A value that JSON can carry."""
        value = self._fields.get(key)
        self._require_json(key, key, value, 0)
        return value

    def optional_json_object(self, key: str) -> dict[str, Any] | None:
        """A table of values that JSON can carry."""
        value = self.optional_json(key)
        if value is not None and not isinstance(value, dict):
            self.fail(key, f"must be a table of fields, not {shown(value)}")
        return cast("dict[str, Any] | None", value)

    def table(self, key: str) -> TomlTable:
        """The table ``[key]`` of a document; an empty one when it is not there."""
        value = self._fields.get(key, {})
        if not isinstance(value, dict):
            self.fail(key, f"must be a table, written [{key}], not {shown(value)}")
        return TomlTable(self._path, f"[{key}]", cast("dict[str, Any]", value))

    def tables(self, key: str) -> list[TomlTable]:
        """The tables ``[[key]]`` of a document, numbered from 1 in what is complained of them."""
        value = self._fields.get(key, [])
        items = cast("list[object]", value) if isinstance(value, list) else [None]
        if not all(isinstance(item, dict) for item in items):
            self.fail(
                key, f"must be an array of tables, each written [[{key}]], not {shown(self._fields[key])}"
            )
        tables = cast("list[dict[str, Any]]", items)
        return [
            TomlTable(self._path, f"[[{key}]] number {number}", fields)
            for number, fields in enumerate(tables, 1)
        ]

    def _require_json(self, key: str, where: str, value: Any, depth: int) -> None:
        if depth > MAX_NESTING:
            self.fail(key, f"nests more than {MAX_NESTING} deep")
        if isinstance(value, dict):
            for name, item in cast("dict[str, Any]", value).items():
                self._require_json(key, f"{where}.{name}", item, depth + 1)
        elif isinstance(value, list):
            for place, item in enumerate(cast("list[Any]", value)):
                self._require_json(key, f"{where}[{place}]", item, depth + 1)
        elif isinstance(value, (datetime, date, time)):
            self.fail(key, f"{where} is a date or a time, which JSON cannot carry; write it as a string")
        elif isinstance(value, float) and not math.isfinite(value):
            self.fail(key, f"{where} is {value}, which JSON cannot carry")


def shown(value: object) -> str:
    """A value as it is quoted in an error message: on one line, and not too long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _as_float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
