from __future__ import annotations

import threading

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import PagletError
from paglets.remote.trust import revocation as module
from paglets.remote.trust.certificates import PeerIdentity, Role
from paglets.remote.trust.errors import (
    BadCertificateError,
    FrameError,
    MalformedFrameError,
    MisdirectedFrameError,
    RevocationSetFullError,
)
from paglets.remote.trust.issuing import issue_issuer, make_authority
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.revocation import (
    REVOCATION_LABEL,
    Revocation,
    RevocationSet,
    sign_revocation,
    verify_revocation,
)
from paglets.remote.trust.signed_frames import open_frame, seal_frame

AUTHORITY_KEY = HostKey.generate()
AUTHORITY = make_authority(AUTHORITY_KEY)
ISSUER_KEY = HostKey.generate()
ISSUER = issue_issuer(AUTHORITY_KEY, ISSUER_KEY.public_bytes)
KEYS = [HostKey.generate().host_id for _ in range(6)]


class Memory:
    """A store that keeps entries in a list."""

    def __init__(self, *entries: bytes) -> None:
        self.kept = list(entries)

    def revocations(self) -> list[bytes]:
        return list(self.kept)

    def add_revocation(self, entry: bytes) -> None:
        self.kept.append(entry)


def by_authority(key_id: str, *, reason: str = "lost", at: float = 0.0) -> bytes:
    return sign_revocation(AUTHORITY_KEY, AUTHORITY.mesh_id, key_id, reason=reason, at=at)


def by_issuer(key_id: str) -> bytes:
    return sign_revocation(
        ISSUER_KEY, AUTHORITY.mesh_id, key_id, reason="lost", at=0.0, issuer_certificate=ISSUER
    )


def signed(key: HostKey, **changes: object) -> bytes:
    """An entry whose signature is right and whose content is what you like."""
    fields: dict[str, object] = {
        "mesh_id": AUTHORITY.mesh_id,
        "key_id": KEYS[0],
        "reason": "",
        "at": 0.0,
        "issuer_certificate": "",
    }
    return seal_frame(key, REVOCATION_LABEL, msgspec.json.encode(fields | changes)).encode()


def test_a_revoked_key_is_dead_and_others_are_not() -> None:
    revocations = RevocationSet(AUTHORITY)
    assert not revocations.is_revoked(KEYS[0])
    assert revocations.add(by_authority(KEYS[0], reason="stolen from the barn", at=12.5))
    assert revocations.is_revoked(KEYS[0])
    assert not revocations.is_revoked(KEYS[1])
    (entry,) = revocations.revocations()
    assert (entry.key_id, entry.reason, entry.at, entry.by_authority) == (
        KEYS[0], "stolen from the barn", 12.5, True,
    )  # fmt: skip


def test_an_issuer_may_revoke_members() -> None:
    revocations = RevocationSet(AUTHORITY)
    assert revocations.add(by_issuer(KEYS[0]))
    assert revocations.is_revoked(KEYS[0])


def test_a_known_entry_is_not_new_whatever_its_wording() -> None:
    revocations = RevocationSet(AUTHORITY)
    assert revocations.add(by_authority(KEYS[0]))
    assert not revocations.add(by_authority(KEYS[0]))
    assert not revocations.add(by_authority(KEYS[0], reason="said differently", at=99.0))
    assert len(revocations) == 1


def test_entries_hold_after_a_restart() -> None:
    store = Memory()
    first = RevocationSet(AUTHORITY, store)
    first.add(by_authority(KEYS[0]))
    first.add(by_issuer(KEYS[1]))
    first.add(by_issuer(KEYS[1]))
    assert len(store.kept) == 2
    again = RevocationSet(AUTHORITY, store)
    assert again.is_revoked(KEYS[0])
    assert again.is_revoked(KEYS[1])
    assert again.digest() == first.digest()
    assert len(store.kept) == 2


def test_a_damaged_stored_entry_spoils_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    revocations = RevocationSet(AUTHORITY, Memory(b"damage", by_authority(KEYS[0])))
    assert revocations.is_revoked(KEYS[0])
    assert "a stored revocation entry is not valid here" in caplog.text


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=8), st.randoms())
def test_sets_that_met_are_equal_in_whatever_order(entries: list[tuple[str, bool]], random: object) -> None:
    made = [by_authority(key_id) if authority else by_issuer(key_id) for key_id, authority in entries]
    half = len(made) // 2
    one, other = RevocationSet(AUTHORITY), RevocationSet(AUTHORITY)
    one.merge(made[:half])
    other.merge(reversed(made[half:]))
    one.merge(other.entries())
    other.merge(one.entries())
    assert one.digest() == other.digest()
    assert {item.key_id for item in one.revocations()} == {key_id for key_id, _ in entries}
    assert one.merge(other.entries()) == other.merge(one.entries()) == 0


def test_a_listener_hears_of_each_new_entry_once() -> None:
    revocations, heard = RevocationSet(AUTHORITY), list[Revocation]()
    revocations.add_listener(heard.append)
    revocations.add(by_authority(KEYS[0]))
    revocations.add(by_authority(KEYS[0]))
    revocations.remove_listener(heard.append)
    revocations.remove_listener(heard.append)
    revocations.add(by_authority(KEYS[1]))
    assert [item.key_id for item in heard] == [KEYS[0]]


def test_the_set_answers_on_any_thread() -> None:
    revocations, answers = RevocationSet(AUTHORITY), list[bool]()
    revocations.add(by_authority(KEYS[0]))
    thread = threading.Thread(target=lambda: answers.append(revocations.is_revoked(KEYS[0])))
    thread.start()
    thread.join(5)
    assert answers == [True]


# --- what is no entry ------------------------------------------------------------------------------------


def test_every_changed_byte_of_an_entry_is_noticed() -> None:
    for entry in (by_authority(KEYS[0]), by_issuer(KEYS[0])):
        for position in range(len(entry)):
            changed = bytearray(entry)
            changed[position] ^= 1 << position % 7
            with pytest.raises((FrameError, BadCertificateError)):
                verify_revocation(bytes(changed), AUTHORITY)


@given(st.binary(max_size=2000))
def test_garbage_is_refused_with_a_documented_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        verify_revocation(data, AUTHORITY)


def test_only_the_authority_and_its_issuers_may_sign() -> None:
    stranger = HostKey.generate()
    with pytest.raises(BadCertificateError):
        verify_revocation(signed(stranger), AUTHORITY)
    borrowed = sign_revocation(
        stranger, AUTHORITY.mesh_id, KEYS[0], reason="", at=0.0, issuer_certificate=ISSUER
    )
    with pytest.raises(BadCertificateError):
        verify_revocation(borrowed, AUTHORITY)
    own = issue_issuer(stranger, stranger.public_bytes)
    forged = sign_revocation(stranger, AUTHORITY.mesh_id, KEYS[0], reason="", at=0.0, issuer_certificate=own)
    with pytest.raises(BadCertificateError):
        verify_revocation(forged, AUTHORITY)


def test_an_entry_of_another_mesh_is_refused() -> None:
    with pytest.raises(MisdirectedFrameError):
        verify_revocation(signed(AUTHORITY_KEY, mesh_id=HostKey.generate().host_id), AUTHORITY)


def test_the_authority_itself_cannot_be_revoked() -> None:
    for entry in (by_authority(AUTHORITY.mesh_id), by_issuer(AUTHORITY.mesh_id)):
        with pytest.raises(MisdirectedFrameError):
            verify_revocation(entry, AUTHORITY)


@pytest.mark.parametrize(
    "changes",
    [
        {"key_id": "nonsense"},
        {"key_id": None},
        {"reason": "x" * 201},
        {"at": "today"},
        {"issuer_certificate": "***"},
        {"issuer_certificate": "\u0430"},
        {"more": 1},
    ],
)
def test_a_signed_entry_of_another_shape_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedFrameError):
        verify_revocation(signed(AUTHORITY_KEY, **changes), AUTHORITY)


def test_a_signature_for_another_purpose_is_no_revocation() -> None:
    frame = open_frame(by_authority(KEYS[0]), REVOCATION_LABEL, max_body=10_000)
    other = seal_frame(AUTHORITY_KEY, b"paglets-other-v1\0", frame.body)
    with pytest.raises(FrameError):
        verify_revocation(other.encode(), AUTHORITY)


def test_what_a_peer_tells_is_taken_entry_by_entry(caplog: pytest.LogCaptureFixture) -> None:
    revocations = RevocationSet(AUTHORITY)
    assert revocations.merge([b"garbage", by_authority(KEYS[0]), signed(HostKey.generate())]) == 1
    assert revocations.is_revoked(KEYS[0])
    assert [record.__dict__["count"] for record in caplog.records] == [2]


# --- issuers, against each other and against the bound ---------------------------------------------------


def test_an_issuer_cannot_shut_out_another_issuers_members() -> None:
    other = HostKey.generate()
    revocations = RevocationSet(AUTHORITY)
    revocations.add(by_issuer(other.host_id))
    assert not revocations.is_issuer_revoked(other.host_id)
    revocations.add(by_authority(other.host_id))
    assert revocations.is_issuer_revoked(other.host_id)


def test_what_an_issuer_revoked_stays_revoked_when_it_is_revoked_itself() -> None:
    revocations = RevocationSet(AUTHORITY)
    revocations.add(by_authority(ISSUER_KEY.host_id))
    revocations.add(by_issuer(KEYS[0]))
    assert revocations.is_revoked(KEYS[0])


def identity(host_id: str, issuer_id: str) -> PeerIdentity:
    return PeerIdentity(host_id, Role.HOST, "", bytes(32), issuer_id, AUTHORITY.mesh_id)


def test_who_a_revoked_issuer_admitted_is_known_by_the_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    revocations, heard = RevocationSet(AUTHORITY), list[set[str]]()
    revocations.add_listener(lambda entry: heard.append(revocations.struck_by(entry)))
    assert not revocations.is_peer_revoked(identity(KEYS[0], ISSUER_KEY.host_id))
    assert not revocations.is_peer_revoked(identity(KEYS[1], AUTHORITY.mesh_id))
    revocations.add(by_authority(ISSUER_KEY.host_id))
    assert heard == [{ISSUER_KEY.host_id, KEYS[0]}]
    assert revocations.is_revoked(KEYS[0])
    assert not revocations.is_revoked(KEYS[1])
    # Admitted anew by the authority itself, with the same key:
    assert not revocations.is_peer_revoked(identity(KEYS[0], AUTHORITY.mesh_id))
    assert not revocations.is_revoked(KEYS[0])
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    for key_id in KEYS:
        assert revocations.is_peer_revoked(identity(key_id, ISSUER_KEY.host_id))
    assert [revocations.is_revoked(key_id) for key_id in KEYS] == [False] * 4 + [True] * 2


def test_a_stolen_issuer_key_fills_its_own_share_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BY_ISSUER", 3)
    monkeypatch.setattr(module, "MAX_ISSUERS", 1)
    monkeypatch.setattr(module, "MAX_BY_AUTHORITY", 2)
    revocations = RevocationSet(AUTHORITY)
    for key_id in KEYS[:3]:
        revocations.add(by_issuer(key_id))
    with pytest.raises(RevocationSetFullError):
        revocations.add(by_issuer(KEYS[3]))
    second = HostKey.generate()
    certificate = issue_issuer(AUTHORITY_KEY, second.public_bytes)
    with pytest.raises(RevocationSetFullError):
        revocations.add(
            sign_revocation(
                second, AUTHORITY.mesh_id, KEYS[3], reason="", at=0.0, issuer_certificate=certificate
            )
        )
    assert revocations.add(by_authority(KEYS[3]))
    assert revocations.add(by_authority(KEYS[4]))
    with pytest.raises(RevocationSetFullError):
        revocations.add(by_authority(KEYS[5]))
    assert len(revocations) == 5
    assert issubclass(RevocationSetFullError, PagletError)
