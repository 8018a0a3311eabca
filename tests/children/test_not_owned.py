"""A process that cannot be made a child of its host, for whatever reason, is not left behind."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from paglets.core.incarnation import Incarnation
from paglets.runtime.children.child import Child
from paglets.runtime.launchers.launcher import LaunchedProcess, LaunchRequest
from tests.children.support import BOUND, TestHost, open_descriptors

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.runtime.launchers.launcher import Launcher


class Unwatchable:
    """A launcher of processes that a loop cannot listen to: a plain file is in the place of their pipe or socket."""

    def __init__(self, launcher: Launcher, file: Path, *, link: bool) -> None:
        self._launcher = launcher
        self._file = file
        self._link = link
        self.launched: list[LaunchedProcess] = []

    async def start(self) -> None:
        await self._launcher.start()

    async def aclose(self) -> None:
        await self._launcher.aclose()

    async def launch(self, request: LaunchRequest, first: bytes = b"") -> LaunchedProcess:
        process = await self._launcher.launch(request, first)
        self.launched.append(process)
        plain = os.open(self._file, os.O_RDONLY | os.O_CREAT)
        try:
            os.dup2(plain, process.socket.fileno() if self._link else process.output)
        finally:
            os.close(plain)
        return process


@pytest.mark.parametrize("link", [False, True], ids=["output", "link"])
async def test_a_process_that_cannot_be_heard_is_ended_and_let_go_of(
    zygote_host: TestHost, tmp_path: Path, link: bool
) -> None:
    await (await zygote_host.created()).kill()
    before = open_descriptors()
    launcher = Unwatchable(zygote_host.launcher, tmp_path / "plain", link=link)
    with pytest.raises(PermissionError):
        await Child.launch(
            launcher, LaunchRequest(), agent_id="unheard", incarnation=Incarnation(), owner=zygote_host
        )
    (process,) = launcher.launched
    async with asyncio.timeout(BOUND):
        await process.exit
    assert open_descriptors() == before
