"""From files and directories to modules that can be imported; nothing is imported here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_MODULES = 5000
"""Files below one path; a path with more is a wrong one, such as ``/``."""

Seen = set[tuple[int, int]]
"""Device and inode of each directory that was looked into, so that links in a circle end."""


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """A module to look into: its name, and the directory below which that name leads to its file."""

    name: str
    root: str = ""
    """Empty: wherever this program finds it."""
    file: str = ""
    """What the import has to lead to; empty: anything of that name."""


def sources_of(path: Path, errors: list[str]) -> list[ModuleSource]:
    """The modules at a path: a Python file, a package, or a directory with such in it.

    What cannot be used gets a sentence in ``errors``.
    """
    try:
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links
        if path.is_dir():
            root = _root_of(path)
            files = _files_below(path, errors)
        elif path.is_file():
            root = _root_of(path.parent)
            files = iter([path])
        else:
            errors.append(f"Discovery path does not exist: {path}")
            return []
        return _bounded(path, root, files, errors)
    except (OSError, RuntimeError, ValueError) as error:
        errors.append(f"Discovery path cannot be read: {path}: {_reason(error)}")
        return []


def _bounded(path: Path, root: Path, files: Iterator[Path], errors: list[str]) -> list[ModuleSource]:
    found: list[ModuleSource] = []
    for file in files:
        name = _module_name(file, root)
        if not name:
            if file == path:
                errors.append(f"Discovery path is no Python module: {path}")
        elif len(found) == MAX_MODULES:
            errors.append(f"Discovery path has more than {MAX_MODULES} modules; the rest is left out: {path}")
            break
        else:
            found.append(ModuleSource(name, str(root), str(file)))
    return found


def _root_of(directory: Path) -> Path:
    """The nearest directory that is no package: what has to be on ``sys.path``."""
    while (directory / "__init__.py").is_file() and directory.parent != directory:
        directory = directory.parent
    return directory


def _module_name(file: Path, root: Path) -> str:
    """The dotted name of a file below ``root``; empty when it has none, or must not be imported."""
    if file.suffix != ".py" or file.name == "__main__.py":
        return ""
    parts = list(file.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""


def _files_below(directory: Path, errors: list[str]) -> Iterator[Path]:
    """All Python files, in the order of their names, packages before what is in them."""
    seen: Seen = set()
    waiting = [directory]
    while waiting:
        here = waiting.pop()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(here.iterdir(), key=lambda entry: (entry.name != "__init__.py", entry.name))
        except OSError as error:
            errors.append(f"Discovery path cannot be read: {here}: {_reason(error)}")
            continue
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue  # a virtual environment: nobody's own code
        yield from (entry for entry in entries if entry.suffix == ".py" and entry.is_file())
        waiting += reversed(list(_packages(entries)))


def _packages(entries: Iterable[Path]) -> Iterator[Path]:
    """Directories that may be packages: their names are part of their modules' names."""
    for entry in entries:
        if entry.name.isidentifier() and entry.name != "__pycache__" and entry.is_dir():
            yield entry


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
