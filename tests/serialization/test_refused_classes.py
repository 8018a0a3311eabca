"""What cannot be brought back is refused when the class is first used, and not when something moves."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import pathlib
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from typing import Any

import pytest

from paglets.core.errors import SerializationError
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire
from tests.serialization.samples import Leaf, Level, Mode


def holding(annotation: Any) -> type[Any]:
    """A dataclass with one field of that annotation."""
    return dataclass(type("Holder", (), {"__annotations__": {"field": annotation}, "field": None}))


AMBIGUOUS: list[Any] = [
    dt.datetime | str,
    pathlib.Path | str,
    list[int] | set[int],
    list[int] | tuple[int, ...],
    Mode | str,
    Level | int,
    Leaf | dict[str, int],
    dt.datetime | dt.date,
    dict[str, list[Leaf | dict[str, Any]]],
    pathlib.Path | int | str,
]
IMPOSSIBLE: list[Any] = [
    Callable[[], int],
    complex,
    type,
    range,
    collections.defaultdict[str, int],
    dict[tuple[int, int], str],
    object.__class__,
    list[memoryview],
    dict[frozenset[int], int],
    type("Plain", (), {}),
    "NoSuchName",
]


@pytest.mark.parametrize("annotation", AMBIGUOUS, ids=str)
def test_a_union_that_would_be_a_guess_is_refused(annotation: Any):
    cls = holding(annotation)
    for use in (lambda: dataclass_to_wire(cls()), lambda: dataclass_from_wire(cls, {})):
        with pytest.raises(SerializationError, match=r"Holder\.field: .* look the same on the wire"):
            use()


@pytest.mark.parametrize("annotation", IMPOSSIBLE, ids=str)
def test_an_annotation_that_says_nothing_of_data_is_refused(annotation: Any):
    with pytest.raises(SerializationError, match="Holder"):
        dataclass_to_wire(holding(annotation)())


def test_a_refused_class_stays_refused():
    cls = holding(list[dt.datetime | str])
    for _ in range(3):
        with pytest.raises(SerializationError):
            dataclass_to_wire(cls())


def test_an_init_only_field_without_a_default_is_refused():
    @dataclass
    class Needs:
        x: int
        secret: InitVar[int]

    with pytest.raises(SerializationError, match=r"Needs\.secret: an InitVar"):
        dataclass_to_wire(Needs(1, 2))


def test_names_that_only_type_checkers_see_are_explained():
    class Hidden(enum.Enum):
        A = 1

    @dataclass
    class Blind:
        x: Hidden = Hidden.A

    with pytest.raises(SerializationError, match="must be imported at run time"):
        dataclass_to_wire(Blind())
