"""The house holds: imports point down, nothing goes in circles, and the library knows nothing of the appliance."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_the_contracts_of_the_layers_are_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "imports only point down the house KEPT" in done.stdout
    assert "no package imports in a circle KEPT" in done.stdout


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize(("package", "above"), [("paglets", "edge"), ("paglets", "tests"), ("edge", "tests")])
def test_nothing_below_names_what_is_above_not_even_for_types(package: str, above: str) -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / package).rglob("*.py"))
        if any(name.partition(".")[0] == above for name in imported(path))
    ]
    assert guilty == []
