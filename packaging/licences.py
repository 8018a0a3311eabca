"""Gathers the licence texts of everything that the frozen program contains."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

_TEXTS = re.compile(r"(licen[cs]e|copying|notice|authors|copyright)", re.IGNORECASE)
_REQUIREMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def gather(target: Path, root: Path) -> list[str]:
    """Copy all texts below ``target``, which is emptied first; the names of parts that have none.

    ``target/NAME/`` for each distribution, for Python and for PyInstaller, whose bootloader is in the program;
    ``target/system/`` for libraries of the machine it was built on.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copyfile(root / "LICENSE", target / "LICENSE")
    missing = [name for name in runtime_distributions("paglets-edge") if not _copy(name, target)]
    if not _copy("pyinstaller", target):
        missing.append("pyinstaller")
    if not _copy_python(target):
        missing.append("python")
    return missing


def runtime_distributions(name: str) -> list[str]:
    """The distributions that ``name`` needs at run time, and those that they need, without itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        for requirement in metadata.requires(current) or []:
            needed = _needed(requirement)
            if needed and needed not in found:
                found.add(needed)
                waiting.append(needed)
    return sorted(found)


def _needed(requirement: str) -> str | None:
    """The name in a requirement that holds here; extras do not."""
    text, _, condition = requirement.partition(";")
    match = _REQUIREMENT.match(text.strip())
    if match is None or "extra" in condition:
        return None
    name = re.sub(r"[-_.]+", "-", match.group()).lower()
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:  # for another platform or an older Python
        return None
    return name


def _copy(name: str, target: Path) -> bool:
    texts = [
        path
        for path in metadata.files(name) or []
        if ".dist-info" in path.parts[0] and _TEXTS.search(path.name) and path.suffix not in {".py", ".pyc"}
    ]
    for path in texts:
        _place(Path(str(path.locate())), target / name)
    return bool(texts)


def _copy_python(target: Path) -> bool:
    candidates = [
        Path(sysconfig.get_path("stdlib")) / "LICENSE.txt",
        Path(sys.base_prefix) / "LICENSE",
        Path("/usr/share/doc") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "copyright",
    ]
    found = next((path for path in candidates if path.is_file()), None)
    if found is not None:
        _place(found, target / "python")
    return found is not None


def copy_system(libraries: list[Path], target: Path) -> list[str]:
    """Copy what Debian says of the packages that these libraries come from, each to ``target/PACKAGE/copyright``.

    Returns the names of the libraries that no package has, or whose text is not there.
    """
    missing: list[str] = []
    for library in libraries:
        owner = _debian_owner(library)
        text = Path("/usr/share/doc") / owner / "copyright" if owner else None
        if owner is None or text is None or not text.is_file():
            missing.append(library.name)
        else:
            _place(text, target / owner)
    return missing


def _debian_owner(library: Path) -> str | None:
    if shutil.which("dpkg-query") is None:
        return None
    # /lib may be a link to /usr/lib; the package's list has one of the two.
    plain = Path("/") / library.relative_to("/usr") if library.is_relative_to("/usr") else library
    for path in (library, library.resolve(), plain):
        done = subprocess.run(["dpkg-query", "-S", str(path)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(":", 1)[0].split(",")[0]
    return None


def _place(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / source.name)
