"""Points that hold, and stores that fail at them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from paglets.persistence import memory
from paglets.persistence.errors import StoreFullError
from paglets.testing import points, store
from paglets.testing.points import Points
from paglets.testing.store import FaultyStore
from paglets.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction


@pytest.fixture
def armed(tmp_path: Path) -> Generator[Points]:
    with Points(tmp_path / "points").everywhere() as made:
        yield made


def test_nobody_is_held_where_nothing_is_armed(armed: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    points.here().at("anywhere")
    monkeypatch.delenv(points.VARIABLE)
    points.here().at("anywhere")


def test_one_is_held_until_it_is_let_go_and_the_next_is_not_held(armed: Points) -> None:
    armed.arm("door")
    passed: list[str] = []
    first = threading.Thread(target=lambda: passed.append(str(points.here().at("door"))))
    first.start()
    armed.wait_reached("door")
    points.here().at("door")
    assert not passed
    armed.release("door")
    first.join(5)
    assert passed


def test_another_process_is_held_and_may_be_killed_there(armed: Points) -> None:
    armed.arm("door")
    code = "from paglets.testing import points; points.here().at('door')"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        armed.wait_reached("door", within=20)
        process.kill()
        assert process.wait(5) < 0


async def test_a_task_is_held_and_the_rest_goes_on(armed: Points) -> None:
    armed.arm_for_all("door")
    threading.Timer(0.05, armed.release, ("door",)).start()
    await points.here().pause("door")


def test_a_point_may_fail(armed: Points) -> None:
    armed.arm("disk", error=errno.ENOSPC)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        armed.at("disk")
    armed.at("disk")


def test_nobody_comes(armed: Points) -> None:
    with pytest.raises(AssertionError, match="'door'"):
        armed.wait_reached("door", within=0.02)


def test_at_the_end_everybody_goes_and_the_environment_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(points.VARIABLE, "before")
    with Points(tmp_path).everywhere() as made:
        made.arm("door")
        held = threading.Thread(target=lambda: points.here().at("door"))
        held.start()
        made.wait_reached("door")
    held.join(5)
    assert not held.is_alive()
    assert os.environ[points.VARIABLE] == "before"


# --- stores


def test_the_journal_in_memory_is_the_library_s_own() -> None:
    assert store.MemoryJournal is memory.MemoryJournal


def count(number: int) -> Callable[[LmdbTransaction], None]:
    return lambda tx: tx.put_counter(number)


def test_a_commit_fails_as_on_a_full_disk_and_the_next_does_not(tmp_path: Path, armed: Points) -> None:
    with FaultyStore(tmp_path / "store", armed) as faulty:
        faulty.commit_sync(count(5))
        armed.arm("before:commit", error=errno.ENOSPC)
        with pytest.raises(StoreFullError):
            faulty.commit_sync(count(6))
        assert faulty.read_sync(lambda tx: tx.counter()) == 5
        faulty.commit_sync(count(7))
        assert faulty.read_sync(lambda tx: tx.counter()) == 7


@pytest.mark.parametrize(("step", "seen"), [("before", 1), ("after", 5)])
def test_a_commit_is_held_before_it_is_durable_or_before_it_is_told(
    tmp_path: Path, armed: Points, step: str, seen: int
) -> None:
    with FaultyStore(tmp_path / "store", armed) as faulty:
        armed.arm(f"{step}:commit")
        writer = threading.Thread(target=lambda: faulty.commit_sync(count(5)))
        writer.start()
        armed.wait_reached(f"{step}:commit")
        assert faulty.read_sync(lambda tx: tx.counter()) == seen
        assert writer.is_alive()
        armed.release(f"{step}:commit")
        writer.join(5)
        assert faulty.read_sync(lambda tx: tx.counter()) == 5


def test_waiting_gives_what_came_or_tells_how_it_is() -> None:
    values = iter([0, 0, 7])
    assert wait_until(lambda: next(values)) == 7
    with pytest.raises(AssertionError, match=r"0\.01 s so it is"):
        wait_until(bool, within=0.01, otherwise=lambda: "so it is")
