"""What a test looks at while a host is attacked: its events, its log, its memory, and that it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from paglets.core.messages import Message
from paglets.remote import api
from tests.security.samples import Quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.host import Host


def events(host: Host, since: int = 0) -> list[dict[str, Any]]:
    """The host's events after a number, through the operation that everybody uses."""
    raw = host.client.call(
        host.address, api.EVENTS_LIST, api.EventsListParams(since=since, limit=1000), timeout=10
    )
    return msgspec.json.decode(raw)["events"]


def last_event(host: Host) -> int:
    """The number of the latest event."""
    last = 0
    while page := events(host, last):
        last = page[-1]["event_id"]
    return last


async def alarm(host: Host, what: str, since: int, **data: Any) -> dict[str, Any]:
    """The first ``security`` event of that kind after a number; waits for it, with a bound."""

    def found() -> dict[str, Any] | None:
        for event in events(host, since):
            shown = event["data"]
            same = all(shown.get(key) == value for key, value in data.items())
            if event["kind"] == "security" and shown["what"] == what and same:
                return event
        return None

    return await eventually(found, f"a security event {what}")


async def eventually(condition: Callable[[], Any], what: str, *, within: float = 10.0) -> Any:
    """Wait until a condition gives something true, looked at on another thread; what it gave."""
    deadline = time.monotonic() + within
    while not (value := await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.01)
    return value


async def goes_on(host: Host) -> None:
    """The host creates a paglet, which answers, and disposes of it."""

    def work() -> None:
        proxy = host.create(Quiet)
        assert proxy.send(Message("add"), timeout=10) == 1
        proxy.dispose()

    await asyncio.to_thread(work)


def paglets_of(host: Host) -> set[str]:
    """Every id that the host knows a paglet of."""
    raw = host.client.call(host.address, api.PAGLETS_LIST, api.PagletsListParams(state="all"), timeout=10)
    return {each["agent_id"] for each in msgspec.json.decode(raw)["agents"]}


def processes() -> int:
    """Processes of paglets below this one: not their zygote, nor the child that it keeps ready."""
    return sum(_runs_paglet(each) for each in psutil.Process().children(recursive=True))


def _runs_paglet(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(file.path.endswith("children.lock") for file in process.open_files())
    return False


def memory() -> int:
    """Resident bytes of this process, which is the host's."""
    return psutil.Process().memory_info().rss


def status_counts(host: Host) -> dict[str, int]:
    """How many strangers the host has refused, by reason."""
    return host.status()["refused_strangers"]
