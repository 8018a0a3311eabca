from __future__ import annotations

import pathlib
import sys
import types

import pytest

from paglets.core.errors import SerializationError
from paglets.serialization.codec import qualified_name, resolve_qualified_name
from tests.serialization.samples import Leaf


class Outer:
    class Inner:
        pass


def test_names_come_back_as_their_classes():
    for cls in (Leaf, Outer.Inner, pathlib.PurePath):
        assert resolve_qualified_name(qualified_name(cls)) is cls
    assert qualified_name(Outer.Inner()) == f"{__name__}:Outer.Inner"


def test_local_classes_have_no_name():
    class Local:
        pass

    for local in (Local, Local()):
        with pytest.raises(SerializationError, match="local class"):
            qualified_name(local)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "os",
        "os:",
        ":x",
        "a b:c",
        "os:path",
        "os:nothing",
        "os:getcwd",
        "no.such.module:X",
        "os:environ.get",
        "../x:Y",
        "x" * 1000 + ":Y",
        "os:__dict__",
        "a\n:b",
    ],
)
def test_what_names_no_class_is_refused(name: str):
    with pytest.raises(SerializationError):
        resolve_qualified_name(name)


def test_a_module_that_fails_to_import_is_the_cause(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken_paglet_module.py").write_text("raise ZeroDivisionError('at import')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(SerializationError, match="at import") as raised:
        resolve_qualified_name("broken_paglet_module:X")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_attributes_that_are_no_classes_are_no_way_in(monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("odd_module")
    module.__dict__["instance"] = Outer()
    monkeypatch.setitem(sys.modules, "odd_module", module)
    with pytest.raises(SerializationError, match="no such class"):
        resolve_qualified_name("odd_module:instance")
