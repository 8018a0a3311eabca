"""Artifacts in a store: what goes in comes out, and what is refused leaves nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paglets.artifacts import ArtifactStore, file_sha256
from paglets.artifacts.errors import ArtifactNotFoundError
from paglets.artifacts.intake import ArtifactTerms
from paglets.artifacts.spool import Spool
from paglets.core.errors import HostError, RemoteHostError, StorageQuotaError, TransferError
from paglets.persistence.errors import StoreFullError, StoreInUseError
from paglets.persistence.settings import StoreSettings
from paglets.persistence.store import Store

if TYPE_CHECKING:
    from pathlib import Path

COMPRESSIONS = ["", "zlib", "gzip"]
BIG = random.Random(1).randbytes(2_500_000)


def is_empty(store: ArtifactStore) -> bool:
    """Whether nothing is left, no promise either: all of the quota can be used at once."""
    return not store.list() and store.used_bytes == 0


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    "content", [b"", b"hello", BIG, bytes(2_900_000)], ids=["none", "little", "much", "zeros"]
)
def test_what_goes_in_comes_out(
    artifacts: ArtifactStore, tmp_path: Path, compression: str, content: bytes
) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(content)
    result = artifacts.create_from_path(source, owner_agent_id="me", compression=compression)
    ref = result.ref
    assert (ref.host_url, ref.name, ref.compression) == ("https://h:1", "data.bin", compression)
    assert (ref.size_bytes, ref.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert artifacts.ref(ref.artifact_id) == ref
    with artifacts.open_reader(ref.artifact_id) as reader:
        assert reader.read() == content
    assert (
        artifacts.export_to_path(ref.artifact_id, tmp_path / "out" / "copy", expected_sha256=ref.sha256)
        == ref
    )
    assert file_sha256(tmp_path / "out" / "copy") == ref.sha256
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["copy"]
    if compression and len(content) == 2_900_000:
        assert result.stored_bytes < 10_000
    assert artifacts.used_bytes == result.stored_bytes


def test_kept_bytes_are_what_the_compression_says(artifacts: ArtifactStore) -> None:
    result = artifacts.create_from_stream(io.BytesIO(b"x" * 1000), compression="gzip")
    record = msgspec.structs.replace(artifacts.record(result.ref.artifact_id), compression="")
    assert gzip.decompress(b"".join(artifacts.content(record))) == b"x" * 1000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.integers(0, 600_000), st.sampled_from(COMPRESSIONS))
def test_content_can_be_had_from_anywhere(artifacts: ArtifactStore, offset: int, compression: str) -> None:
    if not artifacts.list(owner_agent_id=compression):
        artifacts.create_from_stream(
            io.BytesIO(BIG[:600_000]), compression=compression, owner_agent_id=compression
        )
    [ref] = artifacts.list(owner_agent_id=compression)
    record = artifacts.record(ref.artifact_id)
    assert b"".join(artifacts.content_to_check(record, offset)) == BIG[offset:600_000]
    assert b"".join(artifacts.content(record)) == BIG[:600_000]


def test_export_into_a_directory_uses_a_safe_name(artifacts: ArtifactStore, tmp_path: Path) -> None:
    ref = artifacts.create_from_stream(io.BytesIO(b"x"), name="../../escape.txt").ref
    (tmp_path / "into").mkdir()
    artifacts.export_to_path(ref.artifact_id, tmp_path / "into")
    assert (tmp_path / "into" / "escape.txt").read_bytes() == b"x"
    assert not (tmp_path.parent / "escape.txt").exists()


class Broken(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1, /) -> bytes:
        if self.left <= 0:
            raise ConnectionResetError("the line went dead")
        self.left -= size
        return bytes(size)


def test_what_breaks_off_leaves_nothing(artifacts: ArtifactStore) -> None:
    with pytest.raises(ConnectionResetError):
        artifacts.create_from_stream(Broken(2_000_000))
    with pytest.raises(TransferError, match="ended after 3 bytes of the 4"):
        artifacts.create_from_stream(io.BytesIO(b"abc"), size_bytes=4)
    with pytest.raises(TransferError, match="more came"):
        artifacts.create_from_stream(io.BytesIO(b"abc"), size_bytes=2)
    with pytest.raises(TransferError, match="checksum"):
        artifacts.create_from_stream(io.BytesIO(b"abc"), expected_sha256="00" * 32)
    with pytest.raises(TransferError, match="checksum"):
        artifacts.create_from_stream(io.BytesIO(BIG), expected_sha256="00" * 32)
    with pytest.raises(ValueError, match="compression"):
        artifacts.create_from_stream(io.BytesIO(b""), compression="rar")
    with pytest.raises(FileNotFoundError):
        artifacts.create_from_path("/nowhere/at/all")
    assert is_empty(artifacts)
    artifacts.create_from_stream(
        io.BytesIO(b"abc"), expected_sha256=hashlib.sha256(b"abc").hexdigest().upper()
    )


def test_a_wrong_checksum_is_not_written_out(artifacts: ArtifactStore, tmp_path: Path) -> None:
    ref = artifacts.create_from_stream(io.BytesIO(b"abc")).ref
    target = tmp_path / "kept"
    target.write_bytes(b"before")
    with pytest.raises(TransferError, match="checksum"):
        artifacts.export_to_path(ref.artifact_id, target, expected_sha256="00" * 32)
    assert target.read_bytes() == b"before"


class Never:
    def read(self, size: int, /) -> bytes:
        raise AssertionError("nothing is to be read")


def test_quotas_refuse_before_a_byte_is_read(artifacts: ArtifactStore) -> None:
    with pytest.raises(StorageQuotaError, match="bound of 3000000"):
        artifacts.create_from_stream(Never(), size_bytes=3_000_001)
    artifacts.create_from_stream(io.BytesIO(BIG), size_bytes=len(BIG))
    with pytest.raises(StorageQuotaError, match="quota is 5000000"):
        artifacts.create_from_stream(Never(), size_bytes=2_500_001)
    with pytest.raises(StorageQuotaError):
        artifacts.create_from_stream(io.BytesIO(bytes(2_500_001)))
    with pytest.raises(StorageQuotaError, match="bound"):
        artifacts.create_from_stream(io.BytesIO(bytes(3_000_001)))
    artifacts.create_from_stream(io.BytesIO(BIG))
    assert artifacts.used_bytes == 5_000_000
    artifacts.delete(artifacts.list()[0].artifact_id)
    artifacts.create_from_stream(io.BytesIO(BIG), size_bytes=len(BIG))


def test_promises_count_while_they_stand(artifacts: ArtifactStore) -> None:
    first = artifacts.intake(ArtifactTerms(), 3_000_000)
    with pytest.raises(StorageQuotaError):
        artifacts.intake(ArtifactTerms(), 2_000_001)
    first.discard()
    first.discard()
    artifacts.intake(ArtifactTerms(), 2_000_001).discard()


def test_a_nearly_full_disk_refuses(tmp_path: Path) -> None:
    with Store(tmp_path / "s", settings=StoreSettings(map_size=8 << 20)) as store:
        artifacts = ArtifactStore(store, host_url="https://h:1")
        with pytest.raises(StoreFullError):
            artifacts.create_from_stream(Never(), size_bytes=7 << 20)
        artifacts.create_from_stream(io.BytesIO(bytes(1 << 20)), size_bytes=1 << 20)
        artifacts.close()
        assert len(artifacts.list()) == 1, "the host's store is not its to close"


def test_a_directory_is_shared_within_a_program(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "s", host_url="https://h:1")
    ref = store.create_from_stream(io.BytesIO(b"kept")).ref
    store = ArtifactStore(str(tmp_path / "x" / ".." / "s"), host_url="https://h:1")  # the first one is let go
    second = ArtifactStore(tmp_path / "s", host_url="https://h:1", quota_bytes=4)
    assert store.list() == second.list() == [ref]
    with pytest.raises(StorageQuotaError):
        second.create_from_stream(io.BytesIO(b"more"))
    store.close()
    store.close()
    with second.open_reader(ref.artifact_id) as reader:
        assert reader.read() == b"kept"
    with pytest.raises(StoreInUseError):
        Store(tmp_path / "s")
    second.close()
    with Store(tmp_path / "s") as alone:
        assert ArtifactStore(alone, host_url="https://h:1").list() == [ref]


def test_expired_ones_are_not_found_and_swept(artifacts: ArtifactStore) -> None:
    soon = artifacts.create_from_stream(io.BytesIO(b"a"), expires_at=time.time() + 1000).ref
    gone = artifacts.create_from_stream(io.BytesIO(b"b"), expires_at=1.0).ref
    ever = artifacts.create_from_stream(io.BytesIO(b"c")).ref
    with pytest.raises(ArtifactNotFoundError, match="has expired"):
        artifacts.ref(gone.artifact_id)
    assert {ref.artifact_id for ref in artifacts.list()} == {soon.artifact_id, ever.artifact_id}
    assert artifacts.used_bytes == 3
    assert artifacts.cleanup_temporary() == 1
    assert artifacts.cleanup_temporary() == 0
    assert artifacts.cleanup_temporary(now=time.time() + 1001) == 1
    assert [ref.artifact_id for ref in artifacts.list()] == [ever.artifact_id]


def test_looking_for_what_has_expired_writes_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        artifacts = ArtifactStore(store, host_url="")
        artifacts.create_from_stream(io.BytesIO(b"a"), expires_at=time.time() + 1000)
        before = store.commit_number
        artifacts.cleanup_temporary()
        artifacts.delete("unknown")
        artifacts.delete_owner("nobody")
        assert store.commit_number == before


def test_owners(artifacts: ArtifactStore) -> None:
    for owner in ("a", "b", "ab", "", "a"):
        artifacts.create_from_stream(io.BytesIO(b"same"), owner_agent_id=owner)
    assert len(artifacts.list(owner_agent_id="a")) == 2
    assert len(artifacts.list(owner_agent_id="")) == 1
    assert artifacts.delete_owner("a") == 2
    assert [ref.owner_agent_id for ref in artifacts.list(owner_agent_id="ab")] == ["ab"]
    assert len(artifacts.list()) == 3
    page, cursor = artifacts.page(limit=2)
    rest, end = artifacts.page(after=cursor or "", limit=2)
    assert [*page, *rest] == artifacts.list()
    assert end is None
    assert artifacts.delete(page[0].artifact_id)
    assert not artifacts.delete(page[0].artifact_id)
    for unknown in ("", "x" * 100, "a\0b"):
        assert not artifacts.delete(unknown)
        with pytest.raises(ArtifactNotFoundError):
            artifacts.ref(unknown)


def test_equal_content_is_kept_once_and_as_long_as_somebody_has_it(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        artifacts = ArtifactStore(store, host_url="")
        one, two = (artifacts.create_from_stream(io.BytesIO(BIG)).ref for _ in range(2))
        assert store.read_sync(lambda tx: tx.blob_count()) == 1
        artifacts.delete(one.artifact_id)
        with artifacts.open_reader(two.artifact_id) as reader:
            assert reader.read() == BIG
        artifacts.delete(two.artifact_id)
        assert store.read_sync(lambda tx: tx.blob_count()) == 0


def test_they_are_there_after_a_restart(tmp_path: Path) -> None:
    with ArtifactStore(tmp_path / "s", host_url="https://old:1") as store:
        ref = store.create_from_stream(io.BytesIO(BIG), name="kept").ref
    with ArtifactStore(tmp_path / "s", host_url="https://new:1") as store:
        again = store.ref(ref.artifact_id)
        assert (again.host_url, again.name, again.sha256) == ("https://new:1", "kept", ref.sha256)
        assert store.used_bytes == len(BIG)


class Part:
    received = 0
    dropped = False

    def discard(self) -> None:
        self.dropped = True


def test_interrupted_uploads_are_bounded_and_go_when_their_time_is_over() -> None:
    spool: Spool[Part] = Spool(max_open=3, max_open_per_peer=2)
    parts = [Part() for _ in range(4)]
    for number, part in enumerate(parts[:2]):
        assert spool.claim("p", str(number)) is None
        spool.fill("p", str(number), part)
    with pytest.raises(HostError, match="under way"):
        spool.claim("p", "3")
    with pytest.raises(RemoteHostError, match="another connection"):
        spool.claim("p", "0")
    spool.interrupt("p", "0")
    assert spool.claim("q", "0") is None, "another's upload is not to be had"
    spool.remove("q", "0")
    assert spool.claim("p", "0") is parts[0]
    spool.interrupt("p", "0")
    assert spool.claim("p", "3") is None
    assert parts[0].dropped
    assert not parts[1].dropped
    spool.remove("p", "3")
    assert spool.claim("q", "2") is None
    spool.fill("q", "2", parts[2])
    spool.interrupt("q", "2")
    assert spool.drop_before(time.time() - 100) == 0
    assert spool.drop_before(time.time() + 1) == 1
    spool.remove("p", "1", b"verdict")
    assert spool.finished("p", "1") == b"verdict"
    assert spool.finished("q", "1") is None


def test_one_that_is_claimed_twice_before_it_has_begun_is_the_firsts_alone() -> None:
    spool: Spool[Part] = Spool()
    assert spool.claim("p", "0") is None
    with pytest.raises(RemoteHostError, match="another connection"):
        spool.claim("p", "0")
    spool.abandon("p", "0")
    with pytest.raises(RemoteHostError, match="another connection"):
        spool.claim("p", "0")
    assert not spool.drop_oldest(), "it is under way"


def test_what_was_broken_off_makes_room_for_what_comes(artifacts: ArtifactStore) -> None:
    """Who announces much, and goes, does not keep the quota from others for a day."""
    for number in range(2):
        assert artifacts.spool.claim("p", str(number)) is None
        artifacts.spool.fill("p", str(number), artifacts.intake(ArtifactTerms(), 2_000_000))
    with pytest.raises(StorageQuotaError):
        artifacts.create_from_stream(io.BytesIO(BIG), size_bytes=2_000_000)
    artifacts.spool.interrupt("p", "0")
    with pytest.raises(TransferError, match="ended after"):
        artifacts.create_from_stream(io.BytesIO(b"x"), size_bytes=2_000_000)
    assert not artifacts.spool.drop_oldest(), "it is gone already"
    artifacts.spool.interrupt("p", "1")
    artifacts.create_from_stream(io.BytesIO(bytes(2_500_000)))
    assert artifacts.list()
