"""Where a frozen host keeps authors' modules in their compiled form, so that not each child compiles them anew."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COMPILED = "compiled"


def keep_compiled(data_dir: Path) -> None:
    """Have modules that are imported from source compiled into the data directory, by this process and its forks.

    A frozen program keeps none otherwise. What is kept is code that will run, so only a directory that
    nobody else can write to will do; without one, modules are compiled whenever they are imported. A kept module whose
    source has changed (time, size) is compiled anew, and so are all at each start: nobody waits for these files
    to be on the disk, so a power cut may have damaged them, and those of modules that are gone would stay for ever.
    """
    directory = data_dir / COMPILED
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(directory):
            return
        for old in directory.iterdir():
            shutil.rmtree(old)
    except OSError:
        return
    sys.pycache_prefix = str(directory)
    sys.dont_write_bytecode = False


def _is_ours(directory: Path) -> bool:
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
