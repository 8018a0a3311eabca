"""Where the build puts what."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
DIST = BUILD / "dist"
TREE = DIST / "paglets"
"""The tree that is installed; its program is ``paglets`` in it."""
SINGLE_FILE = DIST / "paglets-onefile"
"""The file that is downloaded."""
STAMP = BUILD / "binary.stamp"
"""What the two were built from."""
LICENCES = BUILD / "licences"
WORK = BUILD / "pyinstaller"
LOG = BUILD / "pyinstaller.log"
