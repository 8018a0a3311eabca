"""The examples, each done as its page says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.docs.reading import FROZEN, ROOT, SOURCE, reader_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.docs.reading import Reader

EXAMPLES = ROOT / "docs" / "examples"
NAMES = sorted(page.parent.name for page in EXAMPLES.glob("*/README.md"))


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Callable[[str, list[Path]], Reader]]:
    """Goes to a copy of an example's folder."""
    readers: list[Reader] = []

    def go(name: str, programs: list[Path]) -> Reader:
        folder = tmp_path / name
        shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        reader = reader_in(folder, programs)
        readers.append(reader)
        return reader

    yield go
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_what_its_page_says(name: str, stand_in: Callable[[str, list[Path]], Reader]) -> None:
    assert stand_in(name, [SOURCE]).follow(EXAMPLES / name / "README.md") > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_so_it_does_with_the_binary(name: str, stand_in: Callable[[str, list[Path]], Reader]) -> None:
    if not (FROZEN / "paglets").exists():
        pytest.skip("there is no binary; make binary")
    assert stand_in(name, [FROZEN]).follow(EXAMPLES / name / "README.md") > 3


def test_every_example_is_listed() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for folder in EXAMPLES.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert f"({folder.name}/README.md)" in page, folder.name
