"""`paglets host` on disks that fail in every way: what it still does, what it says, and what is there afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.persistence.table import seal
from tests.cli.site import Site
from tests.persistence.builders import edit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.disks.disk import FaultyDisk

NOTEBOOK = "cli_samples:Notebook"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture
def small_disk(site: Site) -> Iterator[Path]:
    """A file system of 64 MiB where the host `it` has its data."""
    place = site.data_dir("it")
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "paglets-test", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield place
    finally:
        site.close()
        subprocess.run(["umount", "-l", str(place)], check=True)


def _remount(site: Site, place: Path, how: str) -> None:
    command = ["mount", "-o", f"remount,{how},size=64m", str(place)]
    # Children that end with their host have it open for a moment.
    site.until(
        lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
        "nobody writes there",
    )


def _kept(site: Site, name: str, line: str) -> str:
    return site.ask(name, "create", NOTEBOOK, "--init", f'"{line}"')["agent_id"]


def _events(site: Site, name: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in site.ask(name, "events") if each["kind"] == kind]


def _up(site: Site, name: str) -> dict[str, Any]:
    """Its status, once it can be asked; it need not be ready."""

    def asked() -> dict[str, Any] | None:
        assert site.hosts[name].poll() is None, site.log(name)
        done = site.on(name, "status", "--json")
        return done.json if done.code == 0 and done.json["open"] else None

    return site.until(asked, "it answers")


def test_on_a_read_only_disk_it_can_be_looked_at_and_backed_up(site: Site, small_disk: Path) -> None:
    site.start("it")
    site.wait_ready("it")
    made = _kept(site, "it", "kept")
    site.stop("it", signal.SIGKILL)
    _remount(site, small_disk, "ro")
    site.start("it")
    status = _up(site, "it")
    assert (status["ready"], status["store"]["state"], status["store"]["writable"]) == (
        False,
        "read-only",
        False,
    )
    assert "mounted for writing, and start the host again" in site.on("it", "status").out
    assert [each["data"]["what"] for each in _events(site, "it", "store-fault")] == ["read-only"]
    assert made in {each["agent_id"] for each in site.ask("it", "ps")}
    assert site.ask("it", "state", made)["state"]["lines"] == ["kept"]
    for words in (("send", made, "read"), ("activate", made), ("create", NOTEBOOK), ("dispose", made)):
        refused = site.on("it", *words)
        assert refused.code == 1
        assert "mounted for writing" in refused.err, words
    backup = site.root / "it.backup"
    assert "keep it secret" in site.on("it", "backup", str(backup)).out
    assert site.stop("it") == 0
    _remount(site, small_disk, "rw")
    site.start("it")
    site.wait_ready("it")
    assert site.ask("it", "send", made, "read") == {"reply": ["kept"]}
    assert site.ask("it", "status")["degraded"] == ""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_full_disk_is_said_and_all_goes_on_when_there_is_room_again(site: Site, small_disk: Path) -> None:
    site.start("it")
    site.wait_ready("it")
    made = _kept(site, "it", "kept")
    full = small_disk / "filler"
    with contextlib.suppress(OSError):  # the host may have taken some of it meanwhile
        full.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    refused = None
    for _ in range(200):  # free pages within the file still take some
        refused = site.on("it", "create", NOTEBOOK, "--init", f'"{"x" * 50_000}"')
        if refused.code:
            break
    assert refused is not None
    assert "file system full" in refused.err
    status = site.ask("it", "status")
    assert status["store"]["state"] == "full"
    assert status["ready"] is True, "it still does what needs no room"
    assert "Free some space" in site.on("it", "status").out
    assert site.ask("it", "send", made, "read") == {"reply": ["kept"]}
    # A host that starts on such a disk comes up, too.
    site.stop("it", signal.SIGKILL)
    site.start("it")
    _up(site, "it")
    full.unlink()
    site.until(lambda: site.ask("it", "status")["store"]["state"] == "ok", "it has found that there is room")
    site.until(lambda: site.on("it", "send", made, "read").code == 0, "it is back")
    assert site.ask("it", "send", made, "read") == {"reply": ["kept"]}


def test_a_damaged_record_is_set_aside_and_the_others_go_on(site: Site) -> None:
    site.start("it")
    site.wait_ready("it")
    lost, kept = _kept(site, "it", "lost"), _kept(site, "it", "kept")
    site.stop("it", signal.SIGKILL)
    edit(site.data_dir("it") / "store", b"paglets", lost.encode(), None)
    for _ in range(2):  # it is remembered
        site.start("it")
        site.wait_ready("it")
        status = site.on("it", "status")
        assert "1 thing in the store is damaged" in status.out
        [event] = _events(site, "it", "store-fault")
        assert (event["agent_id"], event["data"]["what"]) == (lost, "damaged")
        assert site.ask("it", "send", kept, "read") == {"reply": ["kept"]}
        assert "is damaged and was put into quarantine" in site.on("it", "info", lost).err
        site.stop("it")
    site.start("it")
    site.wait_ready("it")
    [damaged] = site.ask("it", "damaged")["damaged"]
    assert (damaged["table"], damaged["key"]) == ("paglets", lost)
    assert damaged["id"] in site.on("it", "damaged").out
    assert site.on("it", "damaged", "--forget", "nothing").code == 1
    assert "given up" in site.on("it", "damaged", "--forget", damaged["id"]).out
    assert site.ask("it", "damaged") == {"damaged": [], "total": 0}
    assert site.ask("it", "status")["degraded"] == ""


def test_a_store_of_a_newer_version_is_left_alone_and_status_says_why(site: Site) -> None:
    site.start("it")
    site.wait_ready("it")
    made = _kept(site, "it", "kept")
    site.stop("it")
    store = site.data_dir("it") / "store"
    as_it_was = (store / "store.lmdb").read_bytes()
    edit(store, b"numbers", b"schema", seal(b"schema", msgspec.msgpack.encode(99)))
    newer = (store / "store.lmdb").read_bytes()
    assert site.start("it").wait(20) == 1
    assert (store / "store.lmdb").read_bytes() == newer
    said = site.on("it", "status")
    assert said.code == 3
    assert "has schema 99, and this release knows 2; it was left alone" in said.err
    (store / "store.lmdb").write_bytes(as_it_was)
    site.start("it")
    site.wait_ready("it")
    assert site.ask("it", "send", made, "read") == {"reply": ["kept"]}
    site.stop("it")
    assert "last start failed" not in site.on("it", "status").err


@pytest.mark.parametrize("how", ["truncated", pytest.param("overwritten", marks=pytest.mark.slow)])
def test_a_damaged_file_is_refused_again_and_again_and_never_crashes(site: Site, how: str) -> None:
    site.start("it")
    site.wait_ready("it")
    _kept(site, "it", "kept")
    site.stop("it")
    file = site.data_dir("it") / "store" / "store.lmdb"
    if how == "truncated":
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.write_bytes(file.read_bytes()[:8192] + os.urandom(file.stat().st_size - 8192))
    for _ in range(2):
        assert site.start("it").wait(20) == 1
        assert "Traceback" not in site.log("it")
        said = site.on("it", "status")
        assert said.code == 3
        assert "move it aside, and restore a backup or start with an empty one" in said.err
    file.unlink()
    site.start("it")
    site.wait_ready("it")


def test_a_write_that_fails_half_way_ends_the_host_for_a_new_start_and_loses_nothing(
    disk: FaultyDisk, tmp_path: Path
) -> None:
    (disk.root / "it").mkdir()
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    site.data_dir("it").symlink_to(disk.root / "it")
    try:
        site.start("it")
        site.wait_ready("it")
        lines = ["kept"]
        made = _kept(site, "it", "kept")
        for number in range(1, 12):
            disk.fail(number, name="store.lmdb")
            line = f"line {number}"
            wrote = site.on("it", "create", NOTEBOOK, "--id", f"n{number}", "--init", f'"{line}"').code == 0
            disk.heal()
            if wrote:
                lines.append(line)
            try:
                code = site.hosts["it"].wait(1.0)
            except subprocess.TimeoutExpired:
                continue
            assert code == 1
            assert "failed half-way" in site.log("it")
            break
        else:
            raise AssertionError("no write failed half-way")
        site.start("it")
        site.wait_ready("it")
        assert site.ask("it", "send", made, "read") == {"reply": ["kept"]}
        found = [each["agent_id"] for each in site.ask("it", "ps")]
        assert {f"n{line.removeprefix('line ')}" for line in lines[1:]} <= set(found)
        assert site.stop("it") == 0
    finally:
        site.close()
