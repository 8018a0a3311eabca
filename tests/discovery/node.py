"""A host's discovery part alone, as a program: says in JSON lines what it finds, stops when stdin ends.

Arguments: host id, mesh id, port.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from edge.discovery.zeroconf_discovery import ZeroconfDiscovery
from paglets.remote.discovery import AddressHint, Advertisement


def say(**what: object) -> None:
    print(json.dumps({"at": time.monotonic(), **what}), flush=True)  # noqa: T201 - a pipe to the test


async def report(discovery: ZeroconfDiscovery) -> None:
    known: list[str] = []
    announced = False
    while True:
        now = sorted(hint.url for hint in discovery.known)
        if now != known:
            known = now
            say(known=known)
        if discovery.announced and not announced:
            announced = True
            say(announced=True)
        await asyncio.sleep(0.02)


async def main(host_id: str, mesh_id: str, port: int) -> None:
    discovery = ZeroconfDiscovery(on_network_change=lambda: say(network="changed"))

    def found(hint: AddressHint) -> None:
        say(hint=hint.url, host_id=hint.host_id)

    begun = time.monotonic()
    await discovery.start(Advertisement(host_id, mesh_id, host_id[:5], port), found)
    say(started=time.monotonic() - begun)
    reporting = asyncio.create_task(report(discovery))
    await asyncio.to_thread(sys.stdin.read)
    reporting.cancel()
    begun = time.monotonic()
    await discovery.stop()
    say(stopped=time.monotonic() - begun)


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
