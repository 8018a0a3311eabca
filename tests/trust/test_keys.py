from __future__ import annotations

import concurrent.futures
import ssl
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import HostError
from paglets.remote.trust.errors import KeyFileError
from paglets.remote.trust.files import locked, write_file
from paglets.remote.trust.host_ids import host_id_of
from paglets.remote.trust.keys import HostKey, signature_fits

if TYPE_CHECKING:
    from pathlib import Path

LABEL = b"paglets-test-v1\0"


def test_the_first_start_makes_a_key_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "host.key"
    key = HostKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert key.host_id == host_id_of(key.public_bytes)


def test_the_next_start_finds_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "host.key"
    assert (
        HostKey.load_or_create(path).host_id
        == HostKey.load_or_create(path).host_id
        == HostKey.load(path).host_id
    )


def test_many_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    path = tmp_path / "host.key"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(HostKey.load_or_create, [path] * 16))
    assert len({key.host_id for key in keys}) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "host.key"
    HostKey.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        HostKey.load_or_create(path)


@pytest.mark.parametrize("damage", [b"", b"no key", b"\0" * 200, b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_damaged_key_is_never_replaced_by_a_new_one(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "host.key"
    write_file(path, damage)
    with pytest.raises(KeyFileError, match="damaged"):
        HostKey.load_or_create(path)
    assert path.read_bytes() == damage


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "host.key"
    other = ec.generate_private_key(ec.SECP256R1())
    write_file(path, other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyFileError, match="Ed25519"):
        HostKey.load(path)


def test_what_is_no_file_and_what_is_no_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="regular file"):
        HostKey.load_or_create(tmp_path)
    big = tmp_path / "big.key"
    write_file(big, bytes(100_000))
    with pytest.raises(KeyFileError, match="larger"):
        HostKey.load(big)
    with pytest.raises(KeyFileError):
        HostKey.load_or_create(big / "below-a-file.key")
    assert issubclass(KeyFileError, HostError)


def test_nothing_is_left_behind_beside_the_key(tmp_path: Path) -> None:
    HostKey.load_or_create(tmp_path / "host.key")
    assert {path.name for path in tmp_path.iterdir()} == {"host.key", "host.key.lock"}


def test_a_lock_that_somebody_keeps_is_an_error_not_a_hang(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "some.lock"),
        pytest.raises(KeyFileError, match="stuck"),
        locked(tmp_path / "some.lock", timeout=0.05),
    ):
        pass


def test_the_key_does_not_show_in_its_repr(key: HostKey) -> None:
    assert repr(key) == f"<HostKey {key.host_id}>"


@given(st.binary(max_size=100), st.integers(min_value=0))
def test_any_change_of_what_was_signed_is_noticed(data: bytes, where: int) -> None:
    key = HostKey.generate()
    signature = key.sign(LABEL, data)
    assert signature_fits(key.public_bytes, LABEL, data, signature)
    assert not signature_fits(key.public_bytes, b"paglets-other-v1\0", data, signature)
    assert not signature_fits(key.public_bytes, LABEL, data + b"\0", signature)
    assert not signature_fits(HostKey.generate().public_bytes, LABEL, data, signature)
    bit = where % (8 * len(signature))
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not signature_fits(key.public_bytes, LABEL, data, bytes(flipped))


@given(st.binary(max_size=64), st.binary(max_size=80))
def test_checking_a_signature_never_raises(public: bytes, signature: bytes) -> None:
    assert not signature_fits(public, LABEL, b"data", signature)


def test_the_file_is_one_that_tls_can_read(tmp_path: Path, key: HostKey) -> None:
    assert key.to_pem().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert HostKey.from_pem(key.to_pem()).host_id == key.host_id
    assert ssl.HAS_TLSv1_3
