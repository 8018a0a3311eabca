"""Work directories and the storage of a class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import InvalidAgentError, PagletCrashedError, StorageQuotaError
from paglets.core.messages import Message
from tests.host.agents_with_files import HasFiles, OthersFiles
from tests.host.support import ask, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


def work(proxy: PagletProxy, file: str = "file") -> Path:
    return Path(ask(proxy, "work", file=file))


def test_a_work_directory_for_each_paglet(a: Host) -> None:
    one, other = a.create(HasFiles), a.create(HasFiles)
    assert ask(one, "files") is None, "made when it is asked for"
    path = work(one)
    assert path.is_relative_to(a.settings.data_dir)
    assert (path / "file").read_text() == "a"
    assert work(other) != path
    assert a.work_dir_for(one.agent_id) == path


def test_woken_it_finds_its_files(a: Host) -> None:
    proxy = a.create(HasFiles)
    work(proxy)
    for _ in range(2):
        proxy.deactivate()
        proxy.activate()
        assert ask(proxy, "files") == ["file"]
    path = work(proxy, "more")
    assert path == a.work_dir_for(proxy.agent_id)
    assert ask(proxy, "files") == ["file", "more"]


def test_after_a_crash_it_finds_its_files(a: Host) -> None:
    proxy = a.create(HasFiles)
    work(proxy)
    with pytest.raises(PagletCrashedError):
        proxy.send(Message("crash"))
    proxy.activate()
    assert ask(proxy, "files") == ["file"]


def test_who_leaves_takes_nothing_and_leaves_nothing(a: Host, b: Host) -> None:
    proxy = a.create(HasFiles)
    path = work(proxy)
    proxy.dispatch("b")
    assert not path.exists()
    assert ask(proxy, "files") is None
    there = work(proxy)
    assert (there / "file").read_text() == "b"
    assert there.is_relative_to(b.settings.data_dir)
    proxy.dispatch("a")
    assert not there.exists()
    assert ask(proxy, "files") is None
    with pytest.raises(InvalidAgentError):
        b.work_dir_for(proxy.agent_id)


def test_moves_of_its_own_and_to_the_same_host_clear_too(a: Host) -> None:
    proxy = a.create(HasFiles)
    path = work(proxy)
    ask(proxy, "go", to="b")
    assert not path.exists()
    ask(proxy, "go", to="a")
    path = work(proxy)
    ask(proxy, "go", to="a")
    assert not path.exists()
    assert ask(proxy, "files") is None


def test_a_move_that_fails_changes_nothing(a: Host) -> None:
    proxy = a.create(HasFiles)
    work(proxy)
    with pytest.raises(Exception, match="nowhere"):
        ask(proxy, "go", to="nowhere")
    assert ask(proxy, "files") == ["file"]


@pytest.mark.parametrize("parked", [True, False])
def test_disposal_clears(a: Host, parked: bool) -> None:
    proxy = a.create(HasFiles)
    path = work(proxy)
    if parked:
        proxy.deactivate()
    assert path.exists()
    proxy.dispose()
    assert not path.exists()


def test_a_parked_one_that_moves_leaves_nothing(a: Host) -> None:
    proxy = a.create(HasFiles)
    path = work(proxy)
    proxy.deactivate()
    proxy.dispatch("a")
    assert path.exists()
    proxy.dispatch("b")
    assert not path.exists()


def test_a_clone_has_a_directory_of_its_own(a: Host) -> None:
    proxy = a.create(HasFiles)
    path = work(proxy)
    clone = proxy.clone()
    assert ask(clone, "files") is None
    assert path.exists()


def test_the_start_of_a_host_clears(start: Callable[..., Host]) -> None:
    host = start("h")
    proxy = host.create(HasFiles, agent_id="one")
    path = work(proxy)
    ask(proxy, "store", name="kept", text="here")
    host.stop()
    host = start("h")
    again = host.proxy_for(host.address, "one")
    assert ask(again, "files") is None
    assert not path.exists()
    assert ask(again, "read", name="kept") == b"here"


def test_nothing_is_left_in_the_work_folder(start: Callable[..., Host]) -> None:
    host = start("h")
    for _ in range(3):
        proxy = host.create(HasFiles)
        work(proxy)
        proxy.dispose()
    eventually(lambda: not list((host.settings.data_dir / "work").iterdir()))


# --- storage ----------------------------------------------------------------------------------------------


def test_storage_belongs_to_the_class(a: Host, b: Host) -> None:
    one, other = a.create(HasFiles), a.create(HasFiles)
    assert ask(one, "store", name="x.txt", text="hello") >= 5
    assert ask(other, "read", name="x.txt") == b"hello"
    assert a.persistent_storage_for(one.agent_id).read_bytes("x.txt") == b"hello"
    stranger = a.create(OthersFiles)
    with pytest.raises(Exception, match=r"x\.txt"):
        ask(stranger, "read", name="x.txt")
    one.dispatch("b")
    with pytest.raises(Exception, match=r"x\.txt"):
        ask(one, "read", name="x.txt")
    one.dispose()
    assert ask(other, "read", name="x.txt") == b"hello", "it stays when paglets go"


def test_storage_is_bounded_and_cannot_be_left(a: Host) -> None:
    proxy = a.create(HasFiles)
    with pytest.raises(StorageQuotaError):
        ask(proxy, "fill")
    assert ask(proxy, "escape") is None
