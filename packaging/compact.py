"""Code without what only readers of the source look at: it would take room in every process of a host."""

from __future__ import annotations

import ast
from importlib.util import decode_source
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType

SPEAKING = ("edge.cli", "paglets.system")
"""Packages whose docstrings are shown: help texts of commands, and what services say of themselves."""

NOT_ASKED = ("paglets", "edge", "cryptography", "websockets", "zeroconf")
"""Packages the annotations of whose functions nobody reads at run time; those of classes say what a field is."""

NOT_USED = {"websockets.version": "import importlib.metadata"}
"""What a module imports and never uses as it is released, and what brings others along: email, csv, zipfile."""

_STANDS_IN = "-"
"""In place of the docstring of a class with a decorator: ``@dataclass`` makes up a longer one where there is none."""

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def compact_codes(modules: Iterable[tuple[str, str | None, str]]) -> dict[str, CodeType]:
    """The code of each module that has a source and no use for its docstrings, by name.

    ``modules``: name, path of the source and kind of each, as PyInstaller lists them.
    """
    codes: dict[str, CodeType] = {}
    for name, path, _kind in modules:
        if path is None or not path.endswith(".py") or _within(name, SPEAKING):
            continue
        source = decode_source(Path(path).read_bytes())
        if (line := NOT_USED.get(name)) is not None:
            source = _without(line, source, name)
        if "__doc__" not in source:
            codes[name] = compact(source, path, annotated=not _within(name, NOT_ASKED))
    return codes


def _without(line: str, source: str, name: str) -> str:
    if f"\n{line}\n" not in source or "\nreleased = True\n" not in source:
        raise ValueError(
            f"{name} is not what it was: look whether it uses {line!r} now, and correct NOT_USED"
        )
    return source.replace(f"\n{line}\n", "\n\n", 1)


def compact(source: str, path: str, *, annotated: bool = True) -> CodeType:
    """The code of that source without docstrings, or also without functions' annotations. Assertions stay."""
    tree = ast.parse(source, path)
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            _silence(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not annotated:
            _unannotate(node)
    return compile(tree, path, "exec", dont_inherit=True, optimize=0)


def _silence(node: _Documented) -> None:
    text = node.body[0]
    if isinstance(node, ast.ClassDef) and node.decorator_list:
        node.body[0] = ast.copy_location(ast.Expr(ast.copy_location(ast.Constant(_STANDS_IN), text)), text)
    elif isinstance(node, ast.Module) or len(node.body) > 1:
        del node.body[0]
    else:
        node.body[0] = ast.copy_location(ast.Pass(), text)


def _unannotate(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    function.returns = None
    for node in ast.walk(function.args):
        if isinstance(node, ast.arg):
            node.annotation = None


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)
