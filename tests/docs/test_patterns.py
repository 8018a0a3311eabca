"""The page on patterns, done word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.docs.reading import ROOT, SOURCE, reader_in

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "patterns.md"


def test_a_reader_gets_what_the_page_says(tmp_path: Path) -> None:
    reader = reader_in(tmp_path, [SOURCE])
    try:
        assert reader.follow(PAGE) == PAGE.read_text().count("\n$ ")
    finally:
        reader.close()
