"""The guide for authors, done word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.reading import ROOT, SOURCE, reader_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(120)
def test_a_reader_of_the_guide_sees_what_it_says(tmp_path: Path) -> None:
    reader = reader_in(tmp_path, [SOURCE])
    try:
        assert reader.follow(ROOT / "docs" / "testing.md") == 1
    finally:
        reader.close()
