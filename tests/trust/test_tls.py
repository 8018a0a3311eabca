from __future__ import annotations

import datetime as dt
import ssl
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from paglets.remote.trust.certificates import Authority, CertificateChain, Role
from paglets.remote.trust.credentials import HOSTS_ONLY, MeshCredentials, check_peer
from paglets.remote.trust.errors import (
    BadCertificateError,
    NoCertificateError,
    RevokedKeyError,
    WrongRoleError,
)
from paglets.remote.trust.issuing import issue_issuer, issue_member
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.revocation import RevocationSet, sign_revocation
from paglets.remote.trust.tls import (
    MEMBER_SERVER_NAME,
    make_client_context,
    make_server_context,
    peer_identity,
)
from tests.trust.forging import Forgery, certificate_pem, private_pem, self_signed_p256
from tests.trust.meeting import Meeting, meet

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.remote.trust.mesh_directory import MeshDirectory


@pytest.fixture
def alice(mesh: MeshDirectory) -> MeshCredentials:
    return MeshCredentials.for_host(mesh, HostKey.generate(), "alice")


@pytest.fixture
def bob(mesh: MeshDirectory) -> MeshCredentials:
    return MeshCredentials.for_host(mesh, HostKey.generate(), "bob")


@pytest.fixture
def admin(mesh: MeshDirectory) -> MeshCredentials:
    return MeshCredentials.for_admin(mesh, "ada")


def stranger_context(tmp_path: Path, key_pem: bytes, chain_pem: bytes, protocol: int) -> ssl.SSLContext:
    """Somebody who trusts anybody, and shows what he likes."""
    path = tmp_path / "stranger.pem"
    path.write_bytes(key_pem + chain_pem)
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(path)
    return context


def as_client(tmp_path: Path, key_pem: bytes, *chain: bytes) -> ssl.SSLContext:
    return stranger_context(tmp_path, key_pem, certificate_pem(*chain), ssl.PROTOCOL_TLS_CLIENT)


def as_server(tmp_path: Path, key_pem: bytes, *chain: bytes) -> ssl.SSLContext:
    return stranger_context(tmp_path, key_pem, certificate_pem(*chain), ssl.PROTOCOL_TLS_SERVER)


def refused(meeting: Meeting) -> bool:
    return isinstance(meeting.server.error, ssl.SSLError) and meeting.client.error is not None


def authority_key(mesh: MeshDirectory) -> HostKey:
    return mesh.signing_key()[0]


# --- members ---------------------------------------------------------------------------------------------


def test_two_hosts_of_a_mesh_know_each_other(alice: MeshCredentials, bob: MeshCredentials) -> None:
    meeting = meet(alice.server_context(), bob.client_context(), look=alice.require_peer)
    assert meeting.happened
    seen = meeting.server.seen, meeting.client.seen
    assert seen == (bob.identify(bob.chain.leaf), alice.identify(alice.chain.leaf))
    assert alice.identify(meeting.server.certificate or b"").host_id == bob.host_id


def test_nothing_but_tls_1_3_is_spoken(alice: MeshCredentials, bob: MeshCredentials) -> None:
    meeting = meet(alice.server_context(), bob.client_context(), look=lambda connection: connection.version())
    assert meeting.server.seen == meeting.client.seen == "TLSv1.3"
    old = bob.client_context()
    assert old.minimum_version is alice.server_context().minimum_version is ssl.TLSVersion.TLSv1_3
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert refused(meet(alice.server_context(), context))


def test_an_admin_is_known_as_one_and_kept_from_what_only_hosts_may(
    alice: MeshCredentials, admin: MeshCredentials
) -> None:
    meeting = meet(alice.server_context(), admin.client_context(), look=alice.peer_identity)
    assert meeting.happened
    identity = alice.identify(meeting.server.certificate or b"")
    assert (identity.role, identity.name, identity.host_id) == (Role.ADMIN, "ada", admin.host_id)
    with pytest.raises(WrongRoleError, match="may not do this"):
        check_peer(identity, roles=HOSTS_ONLY)


def test_an_admin_cannot_pass_for_a_host(admin: MeshCredentials, bob: MeshCredentials) -> None:
    meeting = meet(admin.server_context(), bob.client_context())
    assert isinstance(meeting.client.error, ssl.SSLCertVerificationError)


def test_a_member_in_another_ones_place_is_noticed(alice: MeshCredentials, bob: MeshCredentials) -> None:
    identity = alice.identify(bob.chain.leaf)
    check_peer(identity, host_id=bob.host_id)
    with pytest.raises(WrongRoleError, match="was expected"):
        check_peer(identity, host_id=alice.host_id)


def test_one_that_shows_no_certificate_gets_a_connection_and_no_name(alice: MeshCredentials) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    found: list[object] = []

    def look(connection: ssl.SSLSocket) -> None:
        if connection.server_side:
            found.append(alice.peer_identity(connection))
            with pytest.raises(NoCertificateError):
                alice.require_peer(connection)

    meeting = meet(alice.server_context(), context, look=look)
    assert meeting.happened
    assert found == [None]


# --- strangers -------------------------------------------------------------------------------------------


def test_another_meshs_member_is_refused_at_both_ends(
    alice: MeshCredentials, other_mesh: MeshDirectory, tmp_path: Path
) -> None:
    mallory = MeshCredentials.for_host(other_mesh, HostKey.generate(), "mallory")
    context = as_client(tmp_path, mallory.key.to_pem(), mallory.chain.leaf)
    assert refused(meet(alice.server_context(), context))
    meeting = meet(mallory.server_context(), alice.client_context())
    assert isinstance(meeting.client.error, ssl.SSLCertVerificationError)


def test_another_authority_under_the_meshs_name_is_refused(alice: MeshCredentials, tmp_path: Path) -> None:
    own, impostor = HostKey.generate(), HostKey.generate()
    forged = Forgery(signer=impostor, mesh_id=alice.mesh_id, issuer_id=alice.mesh_id, subject=own)
    assert refused(meet(alice.server_context(), as_client(tmp_path, own.to_pem(), forged.leaf())))


def test_an_ordinary_web_certificate_is_refused(alice: MeshCredentials, tmp_path: Path) -> None:
    key, certificate = self_signed_p256()
    assert refused(meet(alice.server_context(), as_client(tmp_path, private_pem(key), certificate)))
    meeting = meet(as_server(tmp_path, private_pem(key), certificate), alice.client_context())
    assert isinstance(meeting.client.error, ssl.SSLCertVerificationError)


def test_a_stolen_certificate_without_its_key_is_of_no_use(
    alice: MeshCredentials, bob: MeshCredentials
) -> None:
    with pytest.raises(ssl.SSLError):
        make_client_context(alice.authority, HostKey.generate(), bob.chain)


@pytest.mark.parametrize("kind", ["p256", "rsa"])
def test_members_insist_on_ed25519_even_if_the_authority_signed(
    alice: MeshCredentials, mesh: MeshDirectory, tmp_path: Path, kind: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else rsa.generate_private_key(65537, 2048)
    forged = Forgery(signer=authority_key(mesh), mesh_id=alice.mesh_id, key=key)
    failures: list[Exception] = []

    def look(connection: ssl.SSLSocket) -> None:
        if connection.server_side:
            with pytest.raises(BadCertificateError, match="Ed25519") as caught:
                alice.peer_identity(connection)
            failures.append(caught.value)

    meet(alice.server_context(), as_client(tmp_path, private_pem(key), forged.leaf()), look=look)
    assert len(failures) == 1


def test_a_connection_that_was_never_verified_names_nobody(
    alice: MeshCredentials, bob: MeshCredentials
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    failures: list[Exception] = []

    def look(connection: ssl.SSLSocket) -> None:
        if not connection.server_side:
            with pytest.raises(BadCertificateError, match="never verified") as caught:
                peer_identity(connection, bob.mesh_id)
            failures.append(caught.value)

    meet(alice.server_context(), context, look=look)
    assert len(failures) == 1


# --- clocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("since", "until"), [(1980, 1981), (2900, 2901)], ids=["expired", "not yet valid"])
def test_no_clock_is_looked_at(
    alice: MeshCredentials, mesh: MeshDirectory, tmp_path: Path, since: int, until: int
) -> None:
    own = HostKey.generate()
    forged = Forgery(
        signer=authority_key(mesh),
        mesh_id=alice.mesh_id,
        subject=own,
        since=dt.datetime(since, 1, 1, tzinfo=dt.UTC),
        until=dt.datetime(until, 1, 1, tzinfo=dt.UTC),
    )
    meeting = meet(alice.server_context(), as_client(tmp_path, own.to_pem(), forged.leaf()))
    assert alice.identify(meeting.server.certificate or b"").host_id == own.host_id
    assert meet(as_server(tmp_path, own.to_pem(), forged.leaf()), alice.client_context()).happened


# --- issuers ---------------------------------------------------------------------------------------------


class Issuer:
    """An issuer of the mesh, and what its key can be made to sign."""

    def __init__(self, mesh: MeshDirectory) -> None:
        self.mesh_id = mesh.mesh_id
        self.key = HostKey.generate()
        self.certificate = mesh.issue_issuer_certificate(self.key.public_bytes)

    def host(self, authority: Authority) -> MeshCredentials:
        own = HostKey.generate()
        leaf = issue_member(self.key, self.mesh_id, own.public_bytes, role=Role.HOST, name="carol")
        chain = CertificateChain(leaf, self.certificate)
        return MeshCredentials(authority, own, chain, role=Role.HOST, name="carol")


def test_a_host_admitted_by_an_issuer_is_a_member(alice: MeshCredentials, mesh: MeshDirectory) -> None:
    issuer = Issuer(mesh)
    carol = issuer.host(mesh.authority)
    for server, client in ((alice, carol), (carol, alice)):
        meeting = meet(server.server_context(), client.client_context())
        assert meeting.happened
    meeting = meet(alice.server_context(), carol.client_context())
    assert alice.identify(meeting.server.certificate or b"").issuer_id == issuer.key.host_id


def test_an_issuers_issuer_is_refused(alice: MeshCredentials, mesh: MeshDirectory, tmp_path: Path) -> None:
    issuer, second, own = Issuer(mesh), HostKey.generate(), HostKey.generate()
    second_certificate = issue_issuer(issuer.key, second.public_bytes)
    leaf = issue_member(second, mesh.mesh_id, own.public_bytes, role=Role.HOST, name="deep")
    context = as_client(tmp_path, own.to_pem(), leaf, second_certificate, issuer.certificate)
    meeting = meet(alice.server_context(), context)
    assert refused(meeting)
    assert "path length" in str(meeting.server.error)


def test_a_hosts_own_certificate_signs_nobody(
    alice: MeshCredentials, bob: MeshCredentials, tmp_path: Path
) -> None:
    own = HostKey.generate()
    leaf = issue_member(bob.key, bob.mesh_id, own.public_bytes, role=Role.HOST, name="friend of bob")
    assert refused(meet(alice.server_context(), as_client(tmp_path, own.to_pem(), leaf, bob.chain.leaf)))


@pytest.mark.parametrize("lie", ["name and identifier", "identifier", "no identifier"])
def test_an_issuer_cannot_hide_behind_the_authority(
    alice: MeshCredentials, mesh: MeshDirectory, tmp_path: Path, lie: str
) -> None:
    """What honouring a revoked issuer rests on: the leaf's authority key identifier names its real signer."""
    issuer, own = Issuer(mesh), HostKey.generate()
    forged = Forgery(
        signer=issuer.key,
        mesh_id=mesh.mesh_id,
        subject=own,
        issuer_id=mesh.mesh_id if lie == "name and identifier" else "",
        authority_key_id=None if lie == "no identifier" else mesh.mesh_id,
    )
    context = as_client(tmp_path, own.to_pem(), forged.leaf(), issuer.certificate)
    assert refused(meet(alice.server_context(), context))


def test_members_of_a_revoked_issuer_are_refused_and_others_are_not(
    alice: MeshCredentials, bob: MeshCredentials, mesh: MeshDirectory
) -> None:
    issuer = Issuer(mesh)
    carol = issuer.host(mesh.authority)
    revocations = RevocationSet(mesh.authority)
    check_peer(alice.identify(carol.chain.leaf), revocations)
    revocations.add(
        sign_revocation(authority_key(mesh), mesh.mesh_id, issuer.key.host_id, reason="stolen", at=0.0)
    )
    with pytest.raises(RevokedKeyError, match=carol.host_id):
        check_peer(alice.identify(carol.chain.leaf), revocations)
    check_peer(alice.identify(bob.chain.leaf), revocations)


# --- revoked keys ----------------------------------------------------------------------------------------


def test_a_revoked_key_is_refused_by_name(
    alice: MeshCredentials, bob: MeshCredentials, mesh: MeshDirectory
) -> None:
    revocations = RevocationSet(mesh.authority)
    entry = sign_revocation(authority_key(mesh), mesh.mesh_id, bob.host_id, reason="lost", at=0.0)
    outcomes: list[str] = []

    def look(connection: ssl.SSLSocket) -> None:
        if connection.server_side:
            alice.require_peer(connection, revocations)
            outcomes.append("welcome")
            revocations.add(entry)
            with pytest.raises(RevokedKeyError, match="bob"):
                alice.require_peer(connection, revocations)
            outcomes.append("revoked")

    meet(alice.server_context(), bob.client_context(), look=look)
    assert outcomes == ["welcome", "revoked"]


def test_no_session_is_resumed(alice: MeshCredentials, bob: MeshCredentials) -> None:
    first = meet(alice.server_context(), bob.client_context())
    assert first.client.session is None or not first.client.session.has_ticket
    second = meet(alice.server_context(), bob.client_context())
    assert first.happened
    assert second.happened
    assert second.client.session_reused is second.server.session_reused is False
    assert second.server.certificate == bob.chain.leaf
    assert alice.server_context().num_tickets == 0


# --- contexts --------------------------------------------------------------------------------------------


def test_contexts_are_made_once_and_leave_no_key_on_the_disk(
    alice: MeshCredentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alice.server_context() is alice.server_context()
    assert alice.client_context() is alice.client_context()
    monkeypatch.setattr(sys, "platform", "other")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = set(tmp_path.rglob("*"))
    context = make_server_context(alice.authority, alice.key, alice.chain)
    assert set(tmp_path.rglob("*")) == before
    assert meet(context, alice.client_context()).happened


def test_the_name_that_members_send_is_no_real_one() -> None:
    assert MEMBER_SERVER_NAME.endswith(".internal")  # reserved for private use, never in the public DNS
