"""One named table of an LMDB environment: typed values, each under a checksum that covers its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from zlib import crc32

import msgspec

from paglets.persistence.damage import Damage, DamageLog
from paglets.persistence.errors import RecordDamagedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

ValueT = TypeVar("ValueT")

MAX_ID_BYTES = 256
"""UTF-8 length of ids used in keys; LMDB's keys end at 511 bytes."""

_CHECKSUM = 4
_MISMATCH = "its checksum does not match"


def id_key(text: str) -> bytes:
    """The key part for an id; ``ValueError`` for one that is empty, too long, or holds a NUL."""
    key = text.encode("utf-8")
    if not key or len(key) > MAX_ID_BYTES or b"\0" in key:
        raise ValueError(f"an id has 1 to {MAX_ID_BYTES} bytes of UTF-8 and no NUL, unlike {text[:80]!r}")
    return key


def number_key(number: int) -> bytes:
    """Eight bytes that sort as the number does."""
    return number.to_bytes(8, "big")


def seal(key: bytes, body: bytes) -> bytes:
    """Put the checksum of key and body before the body."""
    return crc32(body, crc32(key)).to_bytes(_CHECKSUM, "little") + body


def _is_sound(key: bytes, raw: bytes) -> bool:
    return crc32(raw[_CHECKSUM:], crc32(key)).to_bytes(_CHECKSUM, "little") == raw[:_CHECKSUM]


class Table(Generic[ValueT]):
    """Values of one type by key.

    A value that does not decode is reported to the damage log; ``get`` and ``put`` of its key then raise
    ``RecordDamagedError``, ``scan`` goes past it.
    """

    def __init__(
        self,
        environment: lmdb.Environment,
        name: str,
        kind: type[ValueT],
        damage: DamageLog,
        txn: lmdb.Transaction[bytes],
    ) -> None:
        self.name = name
        self.db = environment.open_db(name.encode("ascii"), txn)
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._damage = damage

    def get(self, txn: lmdb.Transaction[bytes], key: bytes) -> ValueT | None:
        """The value, or None."""
        if self._damage.blocks(self.name, key):
            raise self._damaged(key)
        raw = txn.get(key, db=self.db)
        if raw is None:
            return None
        value = self._open(key, raw)
        if isinstance(value, Damage):
            self._damage.report(value)
            raise self._damaged(key)
        return value

    def put(self, txn: lmdb.Transaction[bytes], key: bytes, value: ValueT) -> None:
        """Write the value, replacing the one before."""
        if self._damage.blocks(self.name, key):
            raise self._damaged(key)
        txn.put(key, seal(key, msgspec.msgpack.encode(value)), db=self.db)

    def delete(self, txn: lmdb.Transaction[bytes], key: bytes) -> bool:
        """Forget the key; whether it was there."""
        return txn.delete(key, db=self.db)

    def count(self, txn: lmdb.Transaction[bytes]) -> int:
        """How many values there are."""
        return txn.stat(self.db)["entries"]

    def scan(
        self, txn: lmdb.Transaction[bytes], start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, ValueT]]:
        """Keys and values from ``start`` on, in order, as far as the keys have the prefix.

        The table may not be written to while the iterator is in use.
        """
        with txn.cursor(self.db) as cursor:
            if not cursor.set_range(max(start, prefix)):
                return
            for key, raw in cursor.iternext():
                if not key.startswith(prefix):
                    return
                value = self._open(key, raw)
                if isinstance(value, Damage):
                    self._damage.report(value)
                else:
                    yield key, value

    def look_at_all(self, txn: lmdb.Transaction[bytes]) -> None:
        """Report every record that does not have its checksum."""
        with txn.cursor(self.db) as cursor:
            for key, raw in cursor.iternext():
                if not _is_sound(key, raw):
                    self._damage.report(Damage(self.name, key, _MISMATCH))

    def keys(self, txn: lmdb.Transaction[bytes], prefix: bytes = b"") -> list[bytes]:
        """All keys that have the prefix, in order."""
        found: list[bytes] = []
        with txn.cursor(self.db) as cursor:
            if cursor.set_range(prefix):
                for key in cursor.iternext(keys=True, values=False):
                    if not key.startswith(prefix):
                        break
                    found.append(key)
        return found

    def _open(self, key: bytes, raw: bytes) -> ValueT | Damage:
        body = raw[_CHECKSUM:]
        if not _is_sound(key, raw):
            return Damage(self.name, key, _MISMATCH)
        try:
            return self._decode(body)
        except msgspec.DecodeError as error:
            return Damage(self.name, key, str(error))

    def _damaged(self, key: bytes) -> StoreError:
        shown = key.decode("utf-8", "backslashreplace")
        return RecordDamagedError(
            f"the {self.name} record {shown!r} is damaged and was put into quarantine; "
            "nothing is done with it until an operator restores a backup, or has it forgotten"
        )
