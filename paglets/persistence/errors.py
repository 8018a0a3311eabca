"""What can go wrong with a host's durable store. Every message says what happened and what to do.

::

    HostError
     +-- StoreError
          +-- StoreOpenError            it cannot be opened
          |    +-- StoreInUseError      another host has it
          |    +-- StoreSchemaError     written by a newer release, or by another program
          |    +-- StoreReadOnlyError   its files cannot be written
          +-- StoreDamagedError         what it holds is not what was written
          |    +-- RecordDamagedError   one record; it is in quarantine
          |    +-- BlobDamagedError     one blob does not have its digest
          +-- StoreFullError            the file system has no space left
          |    +-- StoreMapFullError    the memory map is used up
          +-- StoreFailedError          a write failed in a way that leaves the outcome open; reopen
          +-- StoreBusyError            too much waits already; nothing was written
          |    +-- QueueFullError       a paglet's message queue is at its bound
          +-- StoreTimeoutError         not settled in the time given; it may still happen
          +-- StoreClosedError          the store is closed
          +-- BlobMissingError          no such blob

On the way to another process or host they travel as ``HostError``.
"""

from __future__ import annotations

from paglets.core.errors import HostError


class StoreError(HostError):
    """The durable store could not do what it was asked to do."""


class StoreOpenError(StoreError):
    """The store cannot be opened."""


class StoreInUseError(StoreOpenError):
    """Another host, or another part of this program, has the store open."""


class StoreSchemaError(StoreOpenError):
    """The store was written by a newer release, or by another program."""


class StoreReadOnlyError(StoreOpenError):
    """The store's files or directory cannot be written."""


class StoreDamagedError(StoreError):
    """What the store holds is not what was written to it."""


class RecordDamagedError(StoreDamagedError):
    """One record does not decode; it is kept in quarantine and reported in ``Store.damaged``."""


class BlobDamagedError(StoreDamagedError):
    """A blob's bytes do not have the digest that names it."""


class StoreFullError(StoreError):
    """The file system has no space left; nothing of the failed write remains."""


class StoreMapFullError(StoreFullError):
    """The store's memory map is used up; nothing of the failed write remains."""


class StoreFailedError(StoreError):
    """A write failed in a way that leaves its outcome open; the store must be reopened."""


class StoreBusyError(StoreError):
    """Too much waits to be written already; nothing was written."""


class QueueFullError(StoreBusyError):
    """A paglet's queue of waiting messages is at its bound."""


class StoreTimeoutError(StoreError):
    """A write was not settled in the time given; it may still happen."""


class StoreClosedError(StoreError):
    """The store is closed."""


class BlobMissingError(StoreError):
    """The store holds no such blob."""
