"""Whether the hook of a moved paglet has returned is asked of its new host: what counts as no answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, InvalidAgentError, RemoteHostError
from paglets.runtime.transfers.first_hooks import heard
from tests.wire.site import NOTHING, EchoParams, Rig, Site, open_site, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from paglets.remote.wire.peer import Peer


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path) as opened:
        yield opened


async def test_a_lost_connection_is_passed_over(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    answer = asyncio.ensure_future(heard(pool.call(rig.address, "wait", NOTHING)))
    await until(lambda: rig.running)
    await rig.listener.close()
    await answer


async def test_a_host_that_is_not_there_is_passed_over(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    await rig.listener.close()
    await heard(pool.call(rig.address, "echo", NOTHING, timeout=5))


async def test_a_slow_answer_is_passed_over(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    await heard(pool.call(rig.address, "wait", NOTHING, timeout=0.05))
    rig.release.set()


async def test_an_error_of_the_host_counts(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(InvalidAgentError):
        await heard(pool.call(rig.address, "fail", NOTHING, timeout=5))
    with pytest.raises(HostError, match="a mistake of the host"):
        await heard(pool.call(rig.address, "crash", NOTHING, timeout=5))


async def test_an_error_that_the_host_has_from_a_third_one_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(rig: Rig, peer: Peer, params: EchoParams) -> None:
        raise RemoteHostError("the host at https://third:1 closed the connection")

    monkeypatch.setattr(Rig, "echo", fail)
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(RemoteHostError, match="third"):
        await heard(pool.call(rig.address, "echo", NOTHING, timeout=5))


async def test_a_busy_host_counts(site: Site) -> None:
    rig, pool = await site.rig(max_in_flight=1), site.pool()
    waiting = asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING))
    await until(lambda: rig.running)
    with pytest.raises(HostError, match="too many calls wait"):
        await heard(pool.call(rig.address, "echo", NOTHING, timeout=5))
    rig.release.set()
    await waiting


async def test_that_nobody_could_be_asked_counts(site: Site) -> None:
    rig, pool = await site.rig(), site.pool(max_waiting_calls=1)
    waiting = asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING))
    await until(lambda: rig.running)
    with pytest.raises(RemoteHostError, match="too many calls wait"):
        await heard(pool.call(rig.address, "echo", NOTHING, timeout=5))
    rig.release.set()
    await waiting
