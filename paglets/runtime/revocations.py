"""Revocations of this host: kept in its store, exchanged with peers, and made to bite."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import PagletError
from paglets.persistence.errors import StoreError
from paglets.remote.api import REVOCATIONS_EXCHANGE, RevocationsParams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from paglets.persistence.store import Store
    from paglets.remote.trust.revocation import Revocation, RevocationSet
    from paglets.remote.wire.link import Link

logger = logging.getLogger(__name__)

PAGE = 200
"""Entries in one message."""
MAX_PAGES = 100
_TIMEOUT = 10.0
_PATIENCE = 60.0
_MAX_COMPARED = 1024


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

    def __init__(
        self,
        entries: RevocationSet,
        *,
        on_struck: Callable[[set[str]], None],
        link_to: Callable[[str], Awaitable[Link]],
    ) -> None:
        self._entries = entries
        self._on_struck = on_struck
        self._link_to = link_to
        self._merging = asyncio.Lock()
        self._exchanging: dict[str, asyncio.Task[None]] = {}
        self._compared: dict[str, tuple[str, str]] = {}

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

    def heard(self, host_id: str, digest: str) -> None:
        """A heartbeat says that a member knows other entries: exchange them, beside the heartbeats.

        Once for each difference: where a set is full, the two may never be equal.
        """
        if host_id in self._exchanging or self._compared.get(host_id) == (digest, self.digest):
            return
        task = asyncio.create_task(self._catch_up(host_id, digest), name="revocations")
        self._exchanging[host_id] = task
        task.add_done_callback(lambda _: self._exchanging.pop(host_id, None))

    async def _catch_up(self, host_id: str, digest: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.exchange(await self._link_to(host_id))
        except (PagletError, OSError, msgspec.MsgspecError) as error:  # the next heartbeat tries again
            logger.info("revocations were not exchanged", extra={"host_id": host_id, "error": str(error)})
            return
        if len(self._compared) >= _MAX_COMPARED:
            self._compared.clear()
        self._compared[host_id] = (digest, self.digest)

    async def aclose(self) -> None:
        """End the exchanges that heartbeats have caused."""
        tasks = tuple(self._exchanging.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def exchange(self, link: Link) -> None:
        """Bring both ends of a link to the union, page by page."""
        page, more = 0, True
        while more:
            own = self.page(page)
            raw = await link.call(REVOCATIONS_EXCHANGE, own, timeout=_TIMEOUT)
            theirs = msgspec.json.decode(raw, type=RevocationsParams)
            await self.merge(theirs)
            page, more = page + 1, (own.more or theirs.more) and page < MAX_PAGES
