"""Builds the frozen program: the tree ``build/dist/paglets/`` and the single file ``build/dist/paglets-onefile``.

Does nothing when nothing that goes into them has changed. ``--force`` builds anyway.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from typing import TYPE_CHECKING

import licences
from layout import BUILD, DIST, LICENCES, LOG, ROOT, SINGLE_FILE, STAMP, TREE, WORK

if TYPE_CHECKING:
    from pathlib import Path

_INPUTS = ("paglets", "edge", "packaging", "requirements/runtime.lock", "LICENSE", "pyproject.toml")
_EPOCH = "1767225600"  # 2026-01-01: all times in the archives, whenever they are made


def main() -> int:
    """Build what is not up to date; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--force", action="store_true", help="build even if nothing has changed")
    options = parser.parse_args()
    stamp = fingerprint()
    if not options.force and is_current(stamp):
        print(f"up to date: {TREE.relative_to(ROOT)}, {SINGLE_FILE.relative_to(ROOT)}")
        return 0
    started = time.monotonic()
    STAMP.unlink(missing_ok=True)
    for name in licences.gather(LICENCES, ROOT):
        print(f"warning: {name} has no licence text", file=sys.stderr)
    if not freeze():
        return 1
    STAMP.write_text(stamp)
    print(f"built in {time.monotonic() - started:.0f} s")
    if not any(TREE.rglob("_pages.*so")):
        print(
            "warning: paglets.core._pages was not built; paglets will take more memory, and launching them more time",
            file=sys.stderr,
        )
    print(f"  {TREE.relative_to(ROOT)}/paglets  {_megabytes(size_of(TREE))}")
    print(f"  {SINGLE_FILE.relative_to(ROOT)}  {_megabytes(size_of(SINGLE_FILE))}")
    return 0


def fingerprint() -> str:
    """A digest of everything that decides what is built."""
    digest = hashlib.sha256()
    for fact in (platform.machine(), sys.version, metadata.version("pyinstaller")):
        digest.update(fact.encode() + b"\0")
    for name in _INPUTS:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts and path.name != "smoke.py":
                digest.update(f"{path.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current(stamp: str) -> bool:
    """Whether the programs are there and were built from this."""
    return (
        STAMP.is_file()
        and STAMP.read_text() == stamp
        and os.access(TREE / "paglets", os.X_OK)
        and os.access(SINGLE_FILE, os.X_OK)
    )


def freeze() -> bool:
    """Run PyInstaller; its last lines are shown when it fails."""
    if shutil.which("strip") is None:
        print("warning: there is no strip (binutils); the program will be larger", file=sys.stderr)
    environ = {
        **os.environ,
        "PYTHONNODEBUGRANGES": "1",  # our tracebacks name lines, not columns
        "PYTHONHASHSEED": "0",  # the order of sets, so of the archive
        "SOURCE_DATE_EPOCH": _EPOCH,
        "PAGLETS_BUILD_LICENCES": str(LICENCES),
        "PYINSTALLER_CONFIG_DIR": str(WORK / "cache"),
    }
    command = [
        sys.executable, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "WARN",
        "--distpath", str(DIST), "--workpath", str(WORK / "work"), str(ROOT / "packaging" / "paglets.spec"),
    ]  # fmt: skip
    print("building the program; this takes a minute or two", flush=True)
    BUILD.mkdir(exist_ok=True)
    with LOG.open("wb") as output:
        done = subprocess.run(
            command, env=environ, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-25:])
        print(f"{tail}\nPyInstaller failed; all of its output is in {LOG}", file=sys.stderr)
    return done.returncode == 0


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
