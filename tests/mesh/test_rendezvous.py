"""Hosts of one machine find each other through a folder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from paglets.remote import rendezvous
from paglets.remote.discovery import AddressHint, Advertisement
from paglets.remote.rendezvous import Rendezvous

if TYPE_CHECKING:
    from pathlib import Path


def advertisement(name: str, *, mesh: str = "mesh") -> Advertisement:
    return Advertisement(f"id-{name}", mesh, name, 8765, (f"https://{name}.test:8765",))


async def first(hints: asyncio.Queue[AddressHint]) -> AddressHint:
    async with asyncio.timeout(5):
        return await hints.get()


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "LOOK", 0.02)


async def test_hosts_that_share_a_folder_find_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "hosts"
    alpha, beta = Rendezvous(folder), Rendezvous(folder)
    at_alpha: asyncio.Queue[AddressHint] = asyncio.Queue()
    at_beta: asyncio.Queue[AddressHint] = asyncio.Queue()
    await alpha.start(advertisement("alpha"), at_alpha.put_nowait)
    await beta.start(advertisement("beta"), at_beta.put_nowait)

    assert await first(at_beta) == AddressHint("https://alpha.test:8765", "id-alpha")
    assert await first(at_alpha) == AddressHint("https://beta.test:8765", "id-beta")

    await alpha.stop()
    await beta.stop()
    assert list(folder.iterdir()) == []


async def test_what_a_dead_host_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "iddead.json").write_bytes(b"{}")
    alpha = Rendezvous(tmp_path)
    found: asyncio.Queue[AddressHint] = asyncio.Queue()
    await alpha.start(advertisement("alpha"), found.put_nowait)
    beta = Rendezvous(tmp_path)
    await beta.start(advertisement("beta"), lambda hint: None)
    assert (await first(found)).host_id == "id-beta"  # alpha has looked
    assert not (tmp_path / "iddead.json").exists()
    for running in (alpha, beta):
        await running.stop()

    assert found.empty()


async def test_another_mesh_and_nonsense_are_passed_over(tmp_path: Path) -> None:
    stranger, alpha, beta = Rendezvous(tmp_path), Rendezvous(tmp_path), Rendezvous(tmp_path)
    found: asyncio.Queue[AddressHint] = asyncio.Queue()
    await stranger.start(advertisement("stranger", mesh="another"), found.put_nowait)
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "folder.json").mkdir()
    await beta.start(advertisement("beta"), found.put_nowait)
    await alpha.start(advertisement("alpha"), found.put_nowait)

    assert (await first(found)).host_id in {"id-alpha", "id-beta"}
    for running in (stranger, alpha, beta):
        await running.stop()


async def test_a_folder_that_cannot_be_made_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    alpha = Rendezvous(tmp_path / "file" / "hosts")
    await alpha.start(advertisement("alpha"), lambda hint: None)
    await alpha.stop()
