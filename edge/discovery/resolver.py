"""From the names of service instances to hints: a few at a time, and never more than fit."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo

from edge.discovery.records import SERVICE_TYPE, read_hints

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroconf import Zeroconf

    from paglets.remote.discovery import AddressHint, Advertisement

logger = logging.getLogger(__name__)

MAX_PENDING = 512
"""Instances that wait to be looked up; more are dropped, and found when they announce themselves again."""
MAX_KNOWN = 512
"""Instances whose addresses are remembered."""
AT_ONCE = 8
REQUEST_TIMEOUT = 1500
"""Milliseconds to wait for the records of one instance."""


class Resolver:
    """Looks instances up and passes on where they are, those of our mesh only."""

    def __init__(self, on_hint: Callable[[AddressHint], None]) -> None:
        self.known: dict[str, tuple[AddressHint, ...]] = {}
        """Hints by instance name."""
        self.dropped = 0
        self._on_hint = on_hint
        self._pending: dict[str, None] = {}
        self._stirred = asyncio.Event()

    def seen(self, name: str) -> None:
        """An instance was announced or changed."""
        if name not in self._pending and len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            return
        self._pending[name] = None
        self._stirred.set()

    def removed(self, name: str) -> None:
        """An instance said goodbye, or its records ran out. Whether the host lives is not for mDNS to say."""
        self.known.pop(name, None)
        self._pending.pop(name, None)

    def repeat(self) -> None:
        """Read all records again and pass them on: whoever could not be reached then may be now."""
        for name in self.known:
            self.seen(name)

    async def run(self, zeroconf: Zeroconf, own: Advertisement) -> None:
        """Look up what was seen, until cancelled."""
        while True:
            await self._stirred.wait()
            batch = list(self._pending)[:AT_ONCE]
            for name in batch:
                del self._pending[name]
            if not self._pending:
                self._stirred.clear()
            await asyncio.gather(*(self._resolve(zeroconf, name, own) for name in batch))

    async def _resolve(self, zeroconf: Zeroconf, name: str, own: Advertisement) -> None:
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        try:
            complete = info.load_from_cache(zeroconf) or await info.async_request(zeroconf, REQUEST_TIMEOUT)
            addresses = info.parsed_addresses(IPVersion.All) if complete else []
            hints = read_hints(own, info.properties, info.port, addresses)
        except Exception:
            # Whatever a stranger's records make a parser do, it ends here.
            logger.warning(
                "the records of a service cannot be read", extra={"instance": name[:80]}, exc_info=True
            )
            return
        if not hints:
            self.known.pop(name, None)
            return
        if name not in self.known and len(self.known) >= MAX_KNOWN:
            self.dropped += 1
            return
        self.known[name] = hints
        for hint in hints:
            self._on_hint(hint)
