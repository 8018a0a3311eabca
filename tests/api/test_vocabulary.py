"""Every public name imports, and is called as programs call it."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
from typing import Any

import pytest

from tests.api.vocabulary import NAMES, SIGNATURES

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_MISSING = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in NAMES.items() for name in names.split()]
)
def test_a_name_imports_from_the_module_that_owns_it(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def _found(module: str, dotted: str) -> tuple[Any, bool]:
    """What a signature is of, and whether its first parameter is the instance."""
    owner: Any = None
    found: Any = importlib.import_module(module)
    for part in dotted.split("."):
        owner, found = found, inspect.getattr_static(found, part, None) or getattr(found, part)
    if isinstance(found, staticmethod | classmethod):
        return getattr(owner, dotted.rpartition(".")[2]), False
    return found, inspect.isclass(owner)


def _expected(signature: str) -> list[tuple[str, bool, str | None]]:
    """Name, whether keyword-only, and default as it is written, for each parameter."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    keyword_only = False
    found: list[tuple[str, bool, str | None]] = []
    for part in (each.strip() for each in inside.split(", ") if each.strip()):
        if part == "*":
            keyword_only = True
            continue
        name, _, default = part.partition("=")
        found.append((name, keyword_only, default or None))
    return found


def _written(default: Any) -> str:
    if isinstance(default, enum.Enum):
        return default.name
    return "{}" if default == {} else "[]" if default == [] else repr(default)


def _default(owner: Any, parameter: inspect.Parameter) -> Any:
    default = parameter.default
    if dataclasses.is_dataclass(owner):
        field = next((each for each in dataclasses.fields(owner) if each.name == parameter.name), None)
        if field is not None and field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
    return default


@pytest.mark.parametrize(
    ("module", "signature"),
    [
        (module, line.strip())
        for module, lines in SIGNATURES.items()
        for line in lines.splitlines()
        if line.strip()
    ],
    ids=lambda value: value.partition("(")[0],
)
def test_a_call_is_as_programs_make_it(module: str, signature: str) -> None:
    found, bound = _found(module, signature.partition("(")[0])
    parameters = list(inspect.signature(found).parameters.values())[1 if bound else 0 :]
    named = {parameter.name: parameter for parameter in parameters}
    expected = _expected(signature)
    positions = [parameter.name for parameter in parameters if parameter.kind in POSITIONAL]
    for place, (said, keyword_only, default) in enumerate(expected):
        name = said
        if keyword_only:
            assert named[name].kind is inspect.Parameter.KEYWORD_ONLY, name
        elif name not in named:  # said for its place only
            assert place < len(positions), name
            name = positions[place]
        else:
            assert positions[place] == name
        if default is not None:
            assert _written(_default(found, named[name])) == default, name
    for parameter in parameters:  # whatever there is beyond it can be left out
        if (
            parameter.name not in {name for name, _, _ in expected}
            and parameter.name not in positions[: len(expected)]
        ):
            assert parameter.default is not _MISSING or parameter.kind in {
                inspect.Parameter.VAR_KEYWORD,
                inspect.Parameter.VAR_POSITIONAL,
            }, parameter.name
