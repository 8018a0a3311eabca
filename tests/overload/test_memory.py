"""A host whose memory runs out: the kernel takes children first, no further ones are started, and it recovers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from paglets.core.errors import HostError, TransferError
from paglets.core.messages import Message
from paglets.runtime.launchers.newborn import OOM_SCORE_ABOVE_HOST
from paglets.runtime.memory_room import MemoryRoom, NoMemoryLeftError, free_memory, total_memory
from paglets.runtime.settings import Limits
from tests.overload.agents import Bystander
from tests.overload.confined import MOST_EATERS
from tests.overload.watching import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.testing.mesh import LocalMesh

MIB = 1024 * 1024
CONFINED = 320 * MIB


def score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_the_kernel_takes_children_before_their_host_and_their_zygote(mesh: LocalMesh) -> None:
    host = mesh.start("offering")
    pid = host.create(Bystander).info()["pid"]
    own = score(os.getpid())
    assert score(pid) == min(1000, own + OOM_SCORE_ABOVE_HOST)
    zygote = psutil.Process(pid).parent()
    assert zygote is not None
    assert score(zygote.pid) == own


def test_a_host_without_memory_starts_no_paglet_and_says_so(mesh: LocalMesh) -> None:
    host = mesh.start("poor", limits=Limits(memory_reserve=1 << 50))
    with pytest.raises(HostError, match=r"of memory are free.*deactivate or move some, or try again later"):
        host.create(Bystander)
    assert host.health()["tight"] == ["memory"]
    assert host.status()["pressure"]["memory"]["refused"] == 1
    rich = mesh.start("rich")
    proxy = rich.create(Bystander)
    with pytest.raises(TransferError, match="of memory are free"):
        proxy.dispatch("poor")
    assert proxy.send(Message("note"), timeout=10) == 1, "it goes on where it is"


def test_a_crashed_paglet_waits_for_memory_without_being_given_up(mesh: LocalMesh) -> None:
    """It is not the paglet's doing, so it counts for no restart."""
    host = mesh.start("short-of-memory")
    proxy = host.create(Bystander)
    pid = proxy.info()["pid"]
    memory = _memory_of(host)
    before, memory.reserve = memory.reserve, 1 << 50
    psutil.Process(pid).kill()
    eventually(lambda: memory.refused >= 3, "some tries")
    assert host.health()["failed_count"] == 0
    memory.reserve = before
    assert eventually(lambda: proxy.send(Message("note"), timeout=30), "it to be back") == 1


def _memory_of(host: object) -> MemoryRoom:
    life = getattr(host, "_life")  # noqa: B009 - there is no door to this on purpose
    return life.core.population.supervisor.memory


def test_there_is_room_again_as_soon_as_memory_is_free() -> None:
    free = iter([10 * MIB, 100 * MIB])
    room = MemoryRoom(64 * MIB, lambda: next(free))
    with pytest.raises(NoMemoryLeftError, match="only 10 MiB"):
        room.check()
    assert room.refused == 1
    with contextlib.suppress(NoMemoryLeftError):
        room.check()  # known from a moment ago
    eventually(lambda: _fits(room), "the next look")


def _fits(room: MemoryRoom) -> bool:
    with contextlib.suppress(NoMemoryLeftError):
        room.check()
        return True
    return False


def test_what_is_free_is_less_than_all() -> None:
    assert 0 < free_memory() < total_memory() <= psutil.virtual_memory().total


@pytest.fixture
def group() -> Iterator[Path]:
    """The file to write a process id to, for it to have 320 MiB; skipped where nobody may make such a group."""
    name = f"paglets-test-{uuid.uuid4().hex[:8]}"
    for root, bound in (
        (Path("/sys/fs/cgroup"), "memory.max"),
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    ):
        place = root / name
        try:
            place.mkdir()
        except OSError:
            continue
        if not (place / bound).exists():  # the root of groups of another version, or one without memory
            place.rmdir()
            continue
        (place / bound).write_text(str(CONFINED))
        yield place / "cgroup.procs"
        eventually(lambda place=place: not (place / "cgroup.procs").read_text(), "its processes to be gone")
        place.rmdir()
        return
    pytest.skip("control groups cannot be made here")


@pytest.mark.timeout(150)
async def test_a_host_at_its_memory_limit_loses_a_child_to_the_kernel_and_goes_on(
    tmp_path: Path, group: Path
) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.overload.confined", str(tmp_path), str(group)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert "PagletCrashedError" in told["killed"]["error"]
    assert "memory ran out" in told["killed"]["error"]
    assert told["killed"]["again"] == 1
    assert 2 <= told["refused"]["eaters"] < MOST_EATERS
    assert "of memory are free" in told["refused"]["error"]
    assert "memory" in told["refused"]["tight"]
