"""Files that travel with paglets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import HostError, TransferError
from paglets.runtime.files import places as module
from tests.artifacts.agents import Courier
from tests.host.support import ask, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "report.txt"
    path.write_text("hello")
    return path


def files(proxy: PagletProxy) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in ask(proxy, "files")}


def places(host: Host) -> list[str]:
    root = host.settings.data_dir / "files"
    return sorted(each.name for each in root.iterdir()) if root.exists() else []


def courier(host: Host, path: Path, mode: str = "copy") -> PagletProxy:
    proxy = host.create(Courier)
    ask(proxy, "register", path=str(path), name="file", mode=mode)
    return proxy


def test_registering(a: Host, source: Path) -> None:
    proxy = a.create(Courier)
    ref = ask(proxy, "register", path=str(source))
    assert (ref["name"], ref["mode"], ref["status"]) == ("report.txt", "copy", "registered")
    assert (ref["source_host_name"], ref["current_path"], ref["size_bytes"]) == ("a", str(source), 5)
    assert ask(proxy, "path", name="report.txt") == str(source)
    ask(proxy, "register", path=str(source), mode="move")
    assert [each["mode"] for each in ask(proxy, "files")] == ["move"], "the same name is the same file"
    proxy.deactivate()
    proxy.activate()
    assert list(files(proxy)) == ["report.txt"]
    source.unlink()
    assert files(proxy)["report.txt"]["status"] == "failed"
    assert ask(proxy, "unregister", name="report.txt") is True
    assert ask(proxy, "unregister", name="report.txt") is False
    with pytest.raises(HostError, match="no registered file"):
        ask(proxy, "path", name="report.txt")
    for wrong in (
        {"path": "/nowhere"},
        {"path": "/tmp"},
        {"path": __file__, "name": "../x"},
        {"path": __file__, "mode": "x"},
    ):
        with pytest.raises(HostError):
            ask(proxy, "register", **wrong)
    assert ask(proxy, "files") == []


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_file_is_there_before_the_arrival(a: Host, b: Host, source: Path, mode: str) -> None:
    proxy = courier(a, source, mode)
    proxy.dispatch("b")
    assert ask(proxy, "seen") == ["arrival@b:file=hello"]
    ref = files(proxy)["file"]
    assert (ref["status"], ref["current_host_name"], ref["source_path"]) == ("available", "b", str(source))
    assert Path(ref["current_path"]).is_relative_to(b.settings.data_dir)
    assert Path(ref["current_path"]).name == "report.txt"
    eventually(lambda: source.exists() is (mode == "copy"))
    proxy.dispose()
    eventually(lambda: not places(b))
    assert source.exists() is (mode == "copy")


def test_files_travel_on_and_come_home(a: Host, b: Host, source: Path) -> None:
    proxy = courier(a, source, "move")
    for target in "babab":
        proxy.dispatch(target)
    assert ask(proxy, "seen") == [f"arrival@{target}:file=hello" for target in "babab"]
    eventually(lambda: not places(a))
    eventually(lambda: len(places(b)) == 1)
    assert not source.exists()
    proxy.dispose()
    eventually(lambda: not places(b))


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_move_to_the_same_host(a: Host, source: Path, mode: str) -> None:
    proxy = courier(a, source, mode)
    proxy.dispatch("a")
    assert ask(proxy, "seen") == ["arrival@a:file=hello"]
    eventually(lambda: source.exists() is (mode == "copy"))
    path = ask(proxy, "path", name="file")
    assert path != str(source)
    proxy.dispatch("a")
    assert ask(proxy, "path", name="file") == path
    proxy.dispose()
    eventually(lambda: not places(a))


@pytest.mark.parametrize("target", [None, "b"])
def test_a_clone_copies(a: Host, source: Path, target: str | None) -> None:
    proxy = courier(a, source, "move")
    clone = proxy.clone(target)
    assert ask(clone, "seen") == [f"clone@{target or 'a'}:file=hello"]
    assert ask(proxy, "path", name="file") == str(source)
    assert source.read_text() == "hello"
    clone.dispose()
    assert source.exists()


def test_files_of_the_work_directory(a: Host, b: Host) -> None:
    proxy = a.create(Courier)
    first = ask(proxy, "work", text="made at a", mode="move")["current_path"]
    proxy.deactivate()
    proxy.activate()
    assert ask(proxy, "path", name="made.txt") != first
    proxy.dispatch("b")
    assert ask(proxy, "seen") == ["arrival@b:made.txt=made at a"]
    proxy.dispatch("a")
    assert ask(proxy, "seen")[-1] == "arrival@a:made.txt=made at a"


def test_a_parked_one_takes_them_along(a: Host, b: Host, source: Path) -> None:
    proxy = courier(a, source, "move")
    proxy.deactivate()
    proxy.dispatch("b")
    proxy.activate()
    assert Path(ask(proxy, "path", name="file")).read_text() == "hello"
    eventually(lambda: not source.exists())


def test_what_travels_is_the_file_as_it_is(a: Host, source: Path) -> None:
    proxy = courier(a, source, "move")
    source.write_text("changed")
    proxy.dispatch("b")
    assert ask(proxy, "seen") == ["arrival@b:file=changed"]
    assert files(proxy)["file"]["size_bytes"] == 7
    eventually(lambda: not source.exists())


@pytest.mark.parametrize("target", ["a", "b"])
def test_a_file_that_has_gone_keeps_its_paglet(a: Host, b: Host, source: Path, target: str) -> None:
    proxy = courier(a, source)
    before = places(b)
    source.unlink()
    assert "file 'file'" in ask(proxy, "go", to=target)
    assert ask(proxy, "seen") == ["failed@a:"]
    with pytest.raises(TransferError, match=r"report\.txt"):
        proxy.dispatch(target)
    with pytest.raises(TransferError, match=r"report\.txt"):
        proxy.clone(target)
    os.mkfifo(source)
    with pytest.raises(TransferError, match="no regular file"):
        proxy.dispatch(target)
    source.unlink()
    source.write_text("back")
    proxy.dispatch(target)
    assert ask(proxy, "seen")[-1] == f"arrival@{target}:file=back"
    proxy.dispose()
    eventually(lambda: places(b) == before)


def test_too_much_for_the_target(a: Host, b: Host, source: Path) -> None:
    os.truncate(source, 4_000_001)
    proxy = courier(a, source, "move")
    before = places(b)
    with pytest.raises(TransferError, match="bound"):
        proxy.dispatch("b")
    assert source.exists()
    assert proxy.is_active()
    eventually(lambda: places(b) == before)


def test_they_survive_restarts(start: Callable[..., Host], source: Path) -> None:
    a, b = start("a"), start("b")
    proxy = courier(a, source, "move")
    proxy.dispatch(b.address)
    eventually(lambda: not source.exists())
    (kept,) = places(b)
    (b.settings.data_dir / "files" / "nobodys" / "0").mkdir(parents=True)
    b.stop()
    b = start("b")
    again = b.proxy_for(b.address, proxy.agent_id)
    assert Path(ask(again, "path", name="file")).read_text() == "hello"
    eventually(lambda: places(b) == [kept])


def test_a_changed_source_is_not_deleted(
    start: Callable[..., Host], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the sending and the end of the move somebody writes the file anew."""
    a, b = start("a"), start("b")
    proxy = courier(a, source, "move")
    genuine = module.delete_if_same
    seen: list[bool] = []

    def replaced(file: Any) -> bool:
        shutil.copy(source, source.with_suffix(".new"))
        source.with_suffix(".new").rename(source)
        seen.append(genuine(file))
        return seen[-1]

    monkeypatch.setattr(module, "delete_if_same", replaced)
    proxy.dispatch(b.address)
    eventually(lambda: seen)
    assert seen == [False]
    assert source.read_text() == "hello"
