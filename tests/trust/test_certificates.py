from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import AuthenticationError
from paglets.remote.trust.certificates import CertificateChain, Role
from paglets.remote.trust.errors import BadCertificateError
from paglets.remote.trust.issuing import issue_issuer, issue_member, make_authority
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.reading import read_authority, read_issuer, read_member, verify_chain
from tests.trust.forging import Forgery

if TYPE_CHECKING:
    from collections.abc import Callable

# What the library says of odd certificates before it refuses, or we do.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

AUTHORITY_KEY = HostKey.generate()
AUTHORITY = make_authority(AUTHORITY_KEY)
ISSUER_KEY = HostKey.generate()
ISSUER = issue_issuer(AUTHORITY_KEY, ISSUER_KEY.public_bytes)
HOST_KEY = HostKey.generate()


def member(signer: HostKey = AUTHORITY_KEY, *, role: Role = Role.HOST, name: str = "kitchen") -> bytes:
    return issue_member(signer, AUTHORITY.mesh_id, HOST_KEY.public_bytes, role=role, name=name)


@pytest.mark.parametrize("role", list(Role))
def test_a_member_signed_by_the_authority_reads_back(role: Role) -> None:
    found = verify_chain(CertificateChain(member(role=role)), AUTHORITY)
    assert (found.host_id, found.role, found.name) == (HOST_KEY.host_id, role, "kitchen")
    assert found.public_bytes == HOST_KEY.public_bytes
    assert found.issuer_id == found.mesh_id == AUTHORITY_KEY.host_id


def test_a_member_signed_by_an_issuer_names_that_issuer() -> None:
    found = verify_chain(CertificateChain(member(ISSUER_KEY), ISSUER), AUTHORITY)
    assert found.issuer_id == ISSUER_KEY.host_id
    assert found.mesh_id == AUTHORITY_KEY.host_id


def test_an_issuer_cannot_make_issuers() -> None:
    further = HostKey.generate()
    chain = CertificateChain(member(further), issue_issuer(ISSUER_KEY, further.public_bytes))
    with pytest.raises(BadCertificateError):
        verify_chain(chain, AUTHORITY)


def test_a_member_cannot_make_members() -> None:
    own = issue_member(
        HOST_KEY, AUTHORITY.mesh_id, HostKey.generate().public_bytes, role=Role.ADMIN, name="x"
    )
    for chain in (CertificateChain(own), CertificateChain(own, member())):
        with pytest.raises(BadCertificateError):
            verify_chain(chain, AUTHORITY)


def test_an_authority_is_no_issuer_and_an_issuer_no_member() -> None:
    with pytest.raises(BadCertificateError):
        read_issuer(AUTHORITY.certificate, AUTHORITY)
    with pytest.raises(BadCertificateError):
        read_authority(ISSUER)
    with pytest.raises(BadCertificateError):
        verify_chain(CertificateChain(ISSUER), AUTHORITY)


def test_a_leaf_cannot_lie_about_its_issuer() -> None:
    # A leaf by an issuer that says it is the authority's, to outlive that issuer's revocation.
    claims = Forgery(signer=ISSUER_KEY, mesh_id=AUTHORITY.mesh_id, issuer_id=AUTHORITY.mesh_id)
    half = Forgery(signer=ISSUER_KEY, mesh_id=AUTHORITY.mesh_id, authority_key_id=AUTHORITY.mesh_id)
    for chain in (
        CertificateChain(claims.leaf()),
        CertificateChain(claims.leaf(), ISSUER),
        CertificateChain(half.leaf(), ISSUER),
        CertificateChain(member(), ISSUER),
    ):
        with pytest.raises(BadCertificateError):
            verify_chain(chain, AUTHORITY)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["https://example.org/"],
        ["paglets://nonsense/host/nonsense"],
        [f"paglets://{AUTHORITY.mesh_id}/root/{HOST_KEY.host_id}"],
        [f"paglets://{AUTHORITY.mesh_id}/host/{HOST_KEY.host_id}/more"],
        [f"paglets://{AUTHORITY.mesh_id}/host/{AUTHORITY.mesh_id}"],
        [f"paglets://{AUTHORITY.mesh_id}/{role}/{HOST_KEY.host_id}" for role in ("host", "admin")],
    ],
)
def test_a_certificate_says_with_one_uri_of_our_form_who_its_owner_is(uris: list[str]) -> None:
    forged = Forgery(signer=AUTHORITY_KEY, mesh_id=AUTHORITY.mesh_id, subject=HOST_KEY, uris=uris)
    with pytest.raises(BadCertificateError):
        verify_chain(CertificateChain(forged.leaf()), AUTHORITY)


def test_another_meshs_member_is_refused() -> None:
    other = HostKey.generate()
    leaf = issue_member(other, other.host_id, HOST_KEY.public_bytes, role=Role.HOST, name="there")
    with pytest.raises(BadCertificateError, match="another mesh"):
        read_member(leaf, AUTHORITY.mesh_id)
    with pytest.raises(BadCertificateError):
        verify_chain(CertificateChain(leaf), AUTHORITY)
    assert issubclass(BadCertificateError, AuthenticationError)


@pytest.mark.parametrize("name", ["", "k" * 64, "k" * 500, "Küche \U0001f373", "a/b\\c,CN=x+y=z"])
def test_any_name_may_stand_in_a_certificate(name: str) -> None:
    assert verify_chain(CertificateChain(member(name=name)), AUTHORITY).name == name[:64]


def test_a_name_that_nobody_can_see_is_left_out() -> None:
    assert verify_chain(CertificateChain(member(name="bad\x1b[2Jname\u202e")), AUTHORITY).name == ""


@pytest.mark.parametrize("chain", [CertificateChain(member()), CertificateChain(member(ISSUER_KEY), ISSUER)])
def test_chains_survive_pem(chain: CertificateChain) -> None:
    assert CertificateChain.from_pem(b"a comment\n" + chain.to_pem()) == chain


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nonsense",
        b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n",
        CertificateChain(b"x").to_pem() * 3,
    ],
)
def test_what_is_no_chain_is_refused(pem: bytes) -> None:
    with pytest.raises(BadCertificateError):
        CertificateChain.from_pem(pem)


def _verify(der: bytes) -> object:
    return verify_chain(CertificateChain(der), AUTHORITY)


def _verify_issued(der: bytes) -> object:
    return verify_chain(CertificateChain(member(ISSUER_KEY), der), AUTHORITY)


@pytest.mark.parametrize(
    ("der", "read"), [(member(), _verify), (AUTHORITY.certificate, read_authority), (ISSUER, _verify_issued)]
)
def test_every_changed_byte_of_a_certificate_is_noticed(der: bytes, read: Callable[[bytes], object]) -> None:
    read(der)
    # The byte before the 64 of the signature counts the unused bits at its end: when those bits are zero, it
    # may say so or not, and the signature stays the same.
    uncounted = len(der) - 65
    for position in set(range(len(der))) - {uncounted}:
        changed = bytearray(der)
        changed[position] ^= 1 << position % 8
        with pytest.raises(BadCertificateError):
            read(bytes(changed))


@given(st.binary(max_size=800))
def test_garbage_is_refused_with_the_documented_error(data: bytes) -> None:
    for read in (read_authority, _verify, _verify_issued):
        with pytest.raises(BadCertificateError):
            read(data)


def test_every_cut_of_a_certificate_is_noticed() -> None:
    whole = member()
    for cut in range(len(whole)):
        with pytest.raises(BadCertificateError):
            _verify(whole[:cut])


def test_a_huge_certificate_is_not_even_parsed() -> None:
    with pytest.raises(BadCertificateError, match="over the bound"):
        read_member(bytes(1_000_000), AUTHORITY.mesh_id)
