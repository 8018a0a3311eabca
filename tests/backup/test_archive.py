"""The backup as a file: what goes in comes out, and what was damaged is refused."""

from __future__ import annotations

import io
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.backup import back_up_stopped, restore
from paglets.core.errors import HostError
from paglets.core.incarnation import TransferId
from paglets.persistence.backup import MANIFEST, BackupError
from paglets.persistence.errors import StoreInUseError
from paglets.persistence.journal.peers import is_restored
from paglets.persistence.records import Outcome, VerdictRecord
from paglets.persistence.restoring import SKIPPED
from paglets.persistence.store import Store
from paglets.remote.trust.keys import HostKey
from tests.persistence.builders import record

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a host that does not run."""
    data_dir = tmp_path_factory.mktemp("site") / "host"
    data_dir.mkdir()
    HostKey.load_or_create(data_dir / "host.key")
    (data_dir / "launch.toml").write_text("# nothing\n")
    for name in ("storage/notes/a b.txt", "files/x.1/photo", "work/scratch", "backups/old/backup.tar"):
        (data_dir / name).parent.mkdir(parents=True)
        (data_dir / name).write_text(name)
    (data_dir / "storage/notes/link").symlink_to("/etc/passwd")
    with Store(data_dir / "store") as store:
        store.commit_sync(lambda tx: tx.put_paglet(record("one", state=None)))
        store.commit_sync(_verdict)
    return data_dir


def _verdict(tx: LmdbTransaction) -> None:
    tx.put_verdict(VerdictRecord(TransferId("peer", 7), "one", record("one").incarnation, Outcome.ARRIVED))


@pytest.fixture(scope="module")
def archive(host: Path) -> Path:
    target = host.parent / "host.backup"
    back_up_stopped(host, target)
    return target


def test_everything_of_a_host_comes_back_and_nothing_else(host: Path, archive: Path, tmp_path: Path) -> None:
    manifest = restore(archive, tmp_path / "new")
    found = {
        str(each.relative_to(tmp_path / "new")) for each in (tmp_path / "new").rglob("*") if each.is_file()
    }
    assert found == {
        "host.key", "launch.toml", "store/store.lmdb", "store/store.lock", "store/store.lmdb-lock",
        "storage/notes/a b.txt", "files/x.1/photo",
    }  # fmt: skip
    assert (tmp_path / "new/storage/notes/a b.txt").read_text() == "storage/notes/a b.txt"
    assert (tmp_path / "new/host.key").read_bytes() == (host / "host.key").read_bytes()
    assert manifest.host_id == HostKey.load(host / "host.key").host_id


def test_nobody_else_can_read_it(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "new")
    for path in (archive, tmp_path / "new", *(tmp_path / "new").rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_the_copy_says_of_itself_that_it_is_one_and_counts_beyond(
    host: Path, archive: Path, tmp_path: Path
) -> None:
    own_id = restore(archive, tmp_path / "new").host_id
    with Store(host / "store") as before, Store(tmp_path / "new/store") as after:
        assert after.store_id == before.store_id
        assert after.read_sync(lambda tx: tx.peer(own_id)) is not None
        assert after.commit_sync(lambda tx: is_restored(tx, own_id))
        assert not before.commit_sync(lambda tx: is_restored(tx, own_id))
        counters = [store.read_sync(lambda tx: tx.counter()) for store in (before, after)]
        assert counters[1] > counters[0] + SKIPPED
        assert after.read_sync(lambda tx: tx.paglet("one")) == before.read_sync(lambda tx: tx.paglet("one"))
        assert after.read_sync(lambda tx: tx.verdicts()) == before.read_sync(lambda tx: tx.verdicts())


def test_it_is_put_only_where_nothing_is(archive: Path, host: Path, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="not empty"):
        restore(archive, host)
    (tmp_path / "empty").mkdir()
    restore(archive, tmp_path / "empty")
    with pytest.raises(HostError, match="not empty"):
        restore(archive, tmp_path / "empty")


def test_a_store_that_is_in_use_is_left_alone(host: Path, tmp_path: Path) -> None:
    with Store(host / "store"), pytest.raises(StoreInUseError):
        back_up_stopped(host, tmp_path / "other")
    assert not list(tmp_path.iterdir())


def refused(content: bytes, place: Path) -> str:
    """How a file with that content is refused; nothing is left of it."""
    (place / "damaged").write_bytes(content)
    with pytest.raises(BackupError) as caught:
        restore(place / "damaged", place / "new")
    (place / "damaged").unlink()
    assert not list(place.iterdir()), "something was left"
    return str(caught.value)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_changed_byte_of_a_file_goes_unnoticed(data: st.DataObject, archive: Path, tmp_path: Path) -> None:
    whole = bytearray(archive.read_bytes())
    with tarfile.open(archive) as tar:
        members = [(each.offset_data, each.size) for each in tar if each.size and each.name != MANIFEST]
    start, size = data.draw(st.sampled_from(members))
    whole[start + data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
    assert "digests" in refused(bytes(whole), tmp_path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(share=st.floats(0.0, 0.9))
def test_one_that_was_cut_off_is_refused(share: float, archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    with tarfile.open(archive) as tar:
        end = tar.getmembers()[-1].offset
    assert "damaged" in refused(whole[: int(end * share)], tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "storage/../../evil", "evil", "storage", "host.key"]
)
def test_names_that_lead_elsewhere_are_refused(name: str, archive: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(archive) as tar, tarfile.open(fileobj=out, mode="w") as evil:
        for member in tar:
            if member.name == MANIFEST:
                added = tarfile.TarInfo(name)
                added.size = 3
                evil.addfile(added, io.BytesIO(b"boo"))
            evil.addfile(member, tar.extractfile(member))
    refused(out.getvalue(), tmp_path)


def test_links_and_directories_are_refused(archive: Path, tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as evil:
            added = tarfile.TarInfo("storage/x")
            added.type, added.linkname = kind, "/etc/passwd"
            evil.addfile(added)
        refused(out.getvalue(), tmp_path)
    assert "damaged" in refused(b"", tmp_path)
    assert "damaged" in refused(b"no tar at all" * 1000, tmp_path)
