from __future__ import annotations

import concurrent.futures
import multiprocessing
import stat
from typing import TYPE_CHECKING

import pytest

from paglets.remote.trust.certificates import CertificateChain, Role
from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.errors import (
    BadCertificateError,
    KeyFileError,
    MeshDirectoryError,
    NotEnrolledError,
)
from paglets.remote.trust.files import write_file
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.remote.trust.reading import verify_chain

if TYPE_CHECKING:
    from pathlib import Path


def copy_public_half(mesh: MeshDirectory, path: Path) -> MeshDirectory:
    """The mesh directory of a device that has joined: it knows the authority and holds none of its keys."""
    write_file(path / "authority.crt", CertificateChain(mesh.authority.certificate).to_pem(), mode=0o644)
    return MeshDirectory(path)


def open_mesh(path: Path) -> str:
    return MeshDirectory(path).mesh_id


def test_a_first_use_makes_a_mesh_of_one(mesh: MeshDirectory) -> None:
    assert not mesh.path.exists()  # nothing is made before it is asked for
    assert mesh.mesh_id == mesh.authority.mesh_id
    assert stat.S_IMODE(mesh.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((mesh.path / "authority.key").stat().st_mode) == 0o600
    assert mesh.can_issue


def test_every_host_of_the_user_shares_it(mesh: MeshDirectory) -> None:
    again = MeshDirectory(mesh.path)
    assert again.mesh_id == mesh.mesh_id
    alice = MeshCredentials.for_host(mesh, HostKey.generate(), "alice")
    bob = MeshCredentials.for_host(again, HostKey.generate(), "bob")
    assert verify_chain(alice.chain, bob.authority).host_id == alice.host_id


def test_programs_that_start_at_once_make_one_mesh(tmp_path: Path) -> None:
    path = tmp_path / "mesh"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        in_threads = list(pool.map(open_mesh, [path] * 8))
    assert len(set(in_threads)) == 1
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        fresh = tmp_path / "other"
        in_processes = list(processes.map(open_mesh, [fresh] * 4))
    assert len(set(in_processes)) == 1


def test_two_directories_are_two_meshes(mesh: MeshDirectory, other_mesh: MeshDirectory) -> None:
    assert mesh.mesh_id != other_mesh.mesh_id
    stranger = MeshCredentials.for_host(other_mesh, HostKey.generate(), "stranger")
    with pytest.raises(BadCertificateError):
        verify_chain(stranger.chain, mesh.authority)


def test_a_start_that_was_cut_off_between_key_and_certificate_goes_on(mesh: MeshDirectory) -> None:
    mesh_id = mesh.mesh_id
    (mesh.path / "authority.crt").unlink()
    assert MeshDirectory(mesh.path).mesh_id == mesh_id


def test_a_damaged_authority_is_never_replaced_by_a_new_one(mesh: MeshDirectory) -> None:
    assert mesh.mesh_id
    write_file(mesh.path / "authority.crt", b"damage")
    with pytest.raises(MeshDirectoryError, match="damaged"):
        MeshDirectory(mesh.path).mesh_id  # noqa: B018 - the property reads the file
    assert (mesh.path / "authority.crt").read_bytes() == b"damage"


def test_a_directory_that_lost_its_authority_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "mesh" / "hosts").mkdir(parents=True)
    (tmp_path / "mesh").chmod(0o700)
    with pytest.raises(MeshDirectoryError, match=r"no authority\.crt"):
        open_mesh(tmp_path / "mesh")


def test_keys_of_two_meshes_are_not_mixed(mesh: MeshDirectory, other_mesh: MeshDirectory) -> None:
    assert mesh.mesh_id != other_mesh.mesh_id
    write_file(mesh.path / "authority.key", (other_mesh.path / "authority.key").read_bytes())
    with pytest.raises(MeshDirectoryError, match="do not belong together"):
        MeshDirectory(mesh.path).issue_host_certificate(HostKey.generate().public_bytes, "x")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o722])
def test_a_directory_that_others_may_change_is_refused(mesh: MeshDirectory, mode: int) -> None:
    assert mesh.mesh_id
    mesh.path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 700"):
        open_mesh(mesh.path)


def test_an_authority_key_that_others_may_read_is_refused(mesh: MeshDirectory) -> None:
    assert mesh.mesh_id
    (mesh.path / "authority.key").chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        MeshDirectory(mesh.path).issue_host_certificate(HostKey.generate().public_bytes, "x")


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mesh").write_text("a file")
    with pytest.raises(KeyFileError, match="not a directory"):
        open_mesh(tmp_path / "mesh")
    with pytest.raises(KeyFileError):
        open_mesh(tmp_path / "mesh" / "below")


# --- an authority that lives elsewhere -------------------------------------------------------------------


def test_without_a_key_nothing_is_issued_and_the_sentence_says_what_to_do(
    mesh: MeshDirectory, tmp_path: Path
) -> None:
    joined = copy_public_half(mesh, tmp_path / "joined")
    assert joined.mesh_id == mesh.mesh_id
    assert not joined.can_issue
    with pytest.raises(NotEnrolledError, match="join the mesh with a code"):
        MeshCredentials.for_host(joined, HostKey.generate(), "carol")
    with pytest.raises(NotEnrolledError):
        MeshCredentials.for_admin(joined, "ada")
    with pytest.raises(NotEnrolledError):
        joined.signing_key()
    with pytest.raises(NotEnrolledError):
        joined.issue_issuer_certificate(HostKey.generate().public_bytes)


def test_a_host_that_joined_uses_the_certificate_it_was_given(mesh: MeshDirectory, tmp_path: Path) -> None:
    joined, key = copy_public_half(mesh, tmp_path / "joined"), HostKey.generate()
    chain = mesh.issue_host_certificate(key.public_bytes, "carol")
    assert joined.store_host_chain(chain).host_id == key.host_id
    assert MeshCredentials.for_host(MeshDirectory(joined.path), key, "carol").chain == chain


def test_an_issuers_directory_admits_hosts_and_admins(mesh: MeshDirectory, tmp_path: Path) -> None:
    issuing = copy_public_half(mesh, tmp_path / "issuing")
    key = HostKey.load_or_create(issuing.path / "issuer.key")
    certificate = mesh.issue_issuer_certificate(key.public_bytes)
    write_file(issuing.path / "issuer.crt", CertificateChain(certificate).to_pem(), mode=0o644)
    assert issuing.can_issue
    for chain, role in (
        (MeshCredentials.for_host(issuing, HostKey.generate(), "dora").chain, Role.HOST),
        (MeshCredentials.for_admin(issuing, "ada").chain, Role.ADMIN),
    ):
        identity = verify_chain(chain, mesh.authority)
        assert (identity.role, identity.issuer_id) == (role, key.host_id)
    assert issuing.signing_key()[1] == certificate


def test_an_issuers_files_that_do_not_fit_are_refused(
    mesh: MeshDirectory, other_mesh: MeshDirectory, tmp_path: Path
) -> None:
    issuing = copy_public_half(mesh, tmp_path / "issuing")
    key = HostKey.load_or_create(issuing.path / "issuer.key")
    for spoilt, says in (
        (
            CertificateChain(mesh.issue_issuer_certificate(HostKey.generate().public_bytes)).to_pem(),
            "together",
        ),
        (CertificateChain(other_mesh.issue_issuer_certificate(key.public_bytes)).to_pem(), "this mesh"),
        (b"damage", "damaged"),
    ):
        write_file(issuing.path / "issuer.crt", spoilt)
        with pytest.raises(MeshDirectoryError, match=says):
            issuing.issue_host_certificate(HostKey.generate().public_bytes, "x")


def test_a_stored_certificate_that_is_not_this_hosts_is_refused(
    mesh: MeshDirectory, other_mesh: MeshDirectory
) -> None:
    key, path = HostKey.generate(), mesh.path / "hosts"
    for chain in (
        mesh.issue_host_certificate(HostKey.generate().public_bytes, "another key"),
        mesh.issue_admin_certificate(key.public_bytes, "another role"),
        other_mesh.issue_host_certificate(key.public_bytes, "another mesh"),
    ):
        write_file(path / f"{key.host_id}.crt", chain.to_pem())
        with pytest.raises(MeshDirectoryError, match="join again"):
            MeshCredentials.for_host(mesh, key, "x")
    with pytest.raises(BadCertificateError):
        mesh.store_host_chain(other_mesh.issue_host_certificate(key.public_bytes, "another mesh"))


def test_the_admin_of_a_directory_stays_the_same_one(mesh: MeshDirectory) -> None:
    first, second = MeshCredentials.for_admin(mesh), MeshCredentials.for_admin(MeshDirectory(mesh.path))
    assert first.host_id == second.host_id
    assert first.role is Role.ADMIN
    assert first.name
