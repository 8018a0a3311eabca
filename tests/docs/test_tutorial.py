"""The tutorial, done word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.reading import FROZEN, ROOT, SOURCE, Reader, reader_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TUTORIAL = ROOT / "docs" / "tutorial.md"


def _reader(folder: Path, programs: list[Path]) -> Iterator[Reader]:
    reader = reader_in(folder, programs)
    yield reader
    reader.close()


@pytest.fixture
def from_source(tmp_path: Path) -> Iterator[Reader]:
    yield from _reader(tmp_path, [SOURCE])


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Reader]:
    if not (FROZEN / "paglets").exists():
        pytest.skip("there is no binary; make binary")
    yield from _reader(tmp_path, [FROZEN, SOURCE])


def test_a_reader_gets_what_the_tutorial_says(from_source: Reader) -> None:
    assert from_source.follow(TUTORIAL) > 15


@pytest.mark.slow
def test_so_does_one_with_the_binary(frozen: Reader) -> None:
    assert frozen.follow(TUTORIAL) > 15
