"""A host like any other, but that SIGUSR2 has its C library give back what is free.

Between blocks of different lives a heap has free room that is not the system's again: to a look from outside that is
memory which is held. Trimmed first, only what is in use is left to be seen.
"""

import ctypes
import signal
import sys


def trim(_number: int, _frame: object) -> None:
    """Hand free memory back to the kernel, malloc_trim(3)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, trim)
    from edge.__main__ import main

    sys.exit(main())
