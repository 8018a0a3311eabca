"""What a life begins with: its state, and the directory of the life before."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from paglets.core.errors import HostError
from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.store import Store
from paglets.runtime.memory_files import INLINE_LIMIT
from paglets.runtime.states import States
from paglets.runtime.work_dirs import WorkDirs
from paglets.runtime.work_places import WorkPlaces
from tests.persistence.builders import putting

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def no_descriptors_left() -> Generator[None]:
    """What is open stays open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_large_state_without_a_descriptor_for_it_is_an_error_that_can_be_tried_again(
    tmp_path: Path,
) -> None:
    """Whoever starts a paglet goes by the errors of the product; any other left it without a process for good."""
    content = b"x" * (INLINE_LIMIT + 1)
    with Store(tmp_path / "store") as store:
        staged = await store.stage_bytes(content)
        ref = staged.ref
        await store.commit(putting("it", state=ref), blobs=[staged])
        states = States(store)
        (await states.load(ref)).close()
        with no_descriptors_left(), pytest.raises(HostError, match="could not be loaded"):
            await states.load(ref)
        with await states.load(ref) as payload:
            assert payload.read() == content


async def test_a_directory_that_cannot_be_handed_on_does_not_keep_a_life_from_its_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work_dirs = WorkDirs(tmp_path)
    places = WorkPlaces(work_dirs, cast("Any", None))
    earlier, later = Incarnation(Lineage(), 1), Incarnation(Lineage(), 2)
    for each in (earlier, later):
        work_dirs.path("it", each).mkdir()
        (work_dirs.path("it", each) / "file").touch()
    await places.hand_on("it", earlier, later)
    assert "without its work directory" in caplog.text
