"""What the frozen program has to do before anything else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge import frozen_hooks
from edge.environment import clean_env

if TYPE_CHECKING:
    from collections.abc import Sequence

_MULTIPROCESSING = ("--multiprocessing-fork", "from multiprocessing.")


def prepare(argv: Sequence[str]) -> None:
    """Give the process the environment it was called with, and serve as a worker if it was started as one.

    The loader has read ``LD_LIBRARY_PATH`` already, so changing it back only reaches this program's children,
    those of authors' code among them. A paglet may use ``multiprocessing``, whose workers are this program.
    """
    frozen_hooks.install()
    cleaned = clean_env(os.environ)
    for name in os.environ.keys() - cleaned.keys():
        del os.environ[name]
    os.environ.update(cleaned)
    if any(word.startswith(_MULTIPROCESSING) for word in argv[1:]):
        from multiprocessing import freeze_support  # noqa: PLC0415 - an ordinary start does not pay for it

        freeze_support()
