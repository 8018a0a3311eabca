"""Revocations of this host: kept in its store, exchanged with peers, and made to bite."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import TYPE_CHECKING

import msgspec

from paglets.persistence.errors import StoreError
from paglets.remote.api import REVOCATIONS_EXCHANGE, RevocationsParams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paglets.persistence.store import Store
    from paglets.remote.trust.revocation import Revocation, RevocationSet
    from paglets.remote.wire.link import Link

logger = logging.getLogger(__name__)

PAGE = 200
"""Entries in one message."""
MAX_PAGES = 100
_TIMEOUT = 10.0


class RevocationRecords:
    """A ``RevocationStore`` over the host's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def revocations(self) -> Iterable[bytes]:
        """Every entry that was added."""
        return self._store.read_sync(lambda tx: tx.revocations())

    def add_revocation(self, entry: bytes) -> None:
        """Make an entry durable. Called off the loop, see ``Revocations``."""
        try:
            self._store.commit_sync(lambda tx: tx.add_revocation(entry), timeout=_TIMEOUT)
        except StoreError:
            logger.exception("a revocation could not be stored; it holds until this host stops")


class Revocations:
    """Exchanges revocation entries with peers, and ends the sessions of keys that die."""

    def __init__(self, entries: RevocationSet, *, on_struck: Callable[[set[str]], None]) -> None:
        self._entries = entries
        self._on_struck = on_struck
        self._merging = asyncio.Lock()

    @property
    def digest(self) -> str:
        """Equal for equal sets."""
        return self._entries.digest()

    def page(self, number: int) -> RevocationsParams:
        """One page of what this host knows."""
        known = self._entries.entries()
        start = max(0, number) * PAGE
        page = [base64.b64encode(entry).decode("ascii") for entry in known[start : start + PAGE]]
        return RevocationsParams(entries=page, page=number, more=start + PAGE < len(known))

    async def merge(self, params: RevocationsParams) -> None:
        """Take in a page from a peer; the signatures are checked off the loop."""
        told: list[bytes] = []
        for entry in params.entries[:PAGE]:
            try:
                told.append(base64.b64decode(entry, validate=True))
            except (binascii.Error, ValueError):
                logger.warning("a revocation entry was no base64")
        struck: set[str] = set()

        def listener(revocation: Revocation) -> None:
            struck.update(self._entries.struck_by(revocation))

        async with self._merging:
            self._entries.add_listener(listener)
            try:
                await asyncio.to_thread(self._entries.merge, told)
            finally:
                self._entries.remove_listener(listener)
        if struck:
            self._on_struck(struck)

    async def exchange(self, link: Link) -> None:
        """Bring both ends of a link to the union, page by page."""
        page, more = 0, True
        while more:
            own = self.page(page)
            raw = await link.call(REVOCATIONS_EXCHANGE, own, timeout=_TIMEOUT)
            theirs = msgspec.json.decode(raw, type=RevocationsParams)
            await self.merge(theirs)
            page, more = page + 1, (own.more or theirs.more) and page < MAX_PAGES
