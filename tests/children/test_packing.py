"""Code that children run, copied to lie together: it does what it did."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest

from paglets.remote.proxy import PagletProxy
from paglets.runtime.child.rehearsal import rehearse_and_forget
from paglets.runtime.launchers.packing import lay_together

if TYPE_CHECKING:
    from collections.abc import Generator


class _Counter:
    def __init__(self) -> None:
        self.total = 0

    def add(self, numbers: list[int]) -> int:
        """Add the even ones."""
        self.total += sum(number for number in numbers if number % 2 == 0)
        return self.total


def _uncalled() -> int:
    return 1


@pytest.fixture(autouse=True)
def _thaw() -> Generator[None]:
    yield
    gc.unfreeze()


def test_what_runs_is_copied_and_does_the_same() -> None:
    added, uncalled = _Counter.add.__code__, _uncalled.__code__
    seen: list[int] = []
    lay_together(lambda: seen.append(_Counter().add([1, 2, 4])))
    assert set(seen) == {6}
    assert _Counter.add.__code__ is not added
    assert _Counter.add.__code__ == added
    assert _Counter.add.__doc__ == "Add the even ones."
    assert _uncalled.__code__ is uncalled
    assert _Counter().add([2, 3]) == 2


def test_what_fails_is_raised_and_nobody_is_watched_any_more() -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        lay_together(work)
    assert sys.getprofile() is None


def test_a_rehearsal_for_others_leaves_nothing_that_a_child_would_inherit() -> None:
    before = set(sys.modules)
    rehearse_and_forget()
    assert set(sys.modules) == before
    assert PagletProxy.process_client is None
