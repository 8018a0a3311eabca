from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import ResourceCleanupError
from paglets.core.resources import ResourceRegistry

if TYPE_CHECKING:
    from collections.abc import Generator


def needs_two(first: int, second: int) -> int:
    return max(first, second)


class Thing:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def close(self) -> None:
        self.log.append(self.name)


def test_cleanup_goes_backwards_and_forgets():
    log: list[str] = []
    registry = ResourceRegistry()
    for name in ("a", "b", "c"):
        registry.register(name, Thing(log, name))
    assert registry.names() == ["a", "b", "c"]
    registry.cleanup()
    assert log == ["c", "b", "a"]
    assert len(registry) == 0
    registry.cleanup()
    assert log == ["c", "b", "a"]


def test_the_cleanup_may_want_the_resource_or_not():
    log: list[object] = []
    given: list[int] = []

    def with_default(resource: int = 9) -> None:
        given.append(resource)

    registry = ResourceRegistry()
    registry.register("none", 1, lambda: log.append("none"))
    registry.register("one", 2, log.append)
    registry.register("default", 3, with_default)
    registry.register("alone", cleanup=lambda: log.append("alone"))
    registry.register("itself", lambda: log.append("itself"))
    registry.cleanup()
    assert log == ["itself", "alone", 2, "none"]
    assert given == [9]


def test_what_cannot_be_cleaned_up_is_refused_when_it_is_registered():
    registry = ResourceRegistry()
    with pytest.raises(TypeError, match="close"):
        registry.register("number", 3)
    unfit: Any = needs_two
    with pytest.raises(TypeError, match="one argument"):
        registry.register("pair", 3, unfit)
    with pytest.raises(ValueError, match="name"):
        registry.register("", io.BytesIO())
    registry.register("x", io.BytesIO())
    with pytest.raises(ValueError, match="registered already"):
        registry.register("x", io.BytesIO())
    assert registry.names() == ["x"]


def test_all_are_tried_and_what_fails_stays():
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("first", Thing(log, "first"))

    def fail() -> None:
        raise OSError("busy")

    registry.register("stuck", cleanup=fail)
    registry.register("shrug", cleanup=fail, suppress=True)
    with pytest.raises(ResourceCleanupError) as raised:
        registry.cleanup()
    assert log == ["first"]
    assert list(raised.value.failures) == ["stuck"]
    assert isinstance(raised.value.failures["stuck"], OSError)
    assert registry.names() == ["stuck"]
    registry.unregister("stuck")
    registry.cleanup()


def test_context_managers_are_entered_and_left():
    log: list[str] = []

    @contextlib.contextmanager
    def opened() -> Generator[int]:
        log.append("in")
        yield 7
        log.append("out")

    registry = ResourceRegistry()
    assert registry.enter("seven", opened()) == 7
    with pytest.raises(ValueError, match="registered already"):
        registry.enter("seven", opened())
    assert log == ["in", "in", "out"]
    registry.cleanup()
    assert log == ["in", "in", "out", "out"]


def test_resources_are_found_and_taken_back_by_name():
    registry = ResourceRegistry()
    thing = registry.register("x", Thing([], "x"))
    assert registry.get("x") is thing
    assert "x" in registry
    assert registry.unregister("x") is thing
    assert registry.unregister("x") is None
    assert registry.get("x") is None


def test_what_cleans_up_may_take_the_resource():
    registry = ResourceRegistry()
    log: list[str] = []
    registry.register("thing", Thing(log, "a"), lambda thing: thing.close())
    registry.register("other", Thing(log, "b"), log.clear)
    registry.cleanup()
    assert log == ["a"]
