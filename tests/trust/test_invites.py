from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.remote.trust.invites import InvalidInviteError, Invite
from paglets.remote.trust.keys import HostKey

MESH, ISSUER, DEVICE = (HostKey.generate() for _ in range(3))
INVITE = Invite.create(MESH.host_id, ISSUER.public_bytes)


def test_a_code_holds_what_a_device_needs_before_it_sends_anything() -> None:
    assert Invite.parse(INVITE.encode()) == INVITE
    assert Invite.parse("  " + INVITE.encode().upper().replace("-", " ") + "\n") == INVITE
    assert len(INVITE.encode().split("-")) == 17
    assert INVITE.secret.hex() not in repr(INVITE)


def test_every_code_is_another() -> None:
    assert Invite.create(MESH.host_id, ISSUER.public_bytes).secret != INVITE.secret


def test_every_wrong_character_is_noticed() -> None:
    code = INVITE.encode()
    for position, character in enumerate(code):
        for other in {"a", "7", "1", "\u0430"} - {character}:
            with pytest.raises(InvalidInviteError):
                Invite.parse(code[:position] + other + code[position + 1 :])
    for cut in range(len(code) - 1):
        with pytest.raises(InvalidInviteError):
            Invite.parse(code[:cut])


@given(st.text(max_size=500))
def test_garbage_is_refused_with_the_documented_error(text: str) -> None:
    with contextlib.suppress(InvalidInviteError):
        assert Invite.parse(text) == INVITE


def test_a_proof_serves_one_device_one_side_and_one_code_only() -> None:
    other = Invite.create(MESH.host_id, ISSUER.public_bytes)
    proofs = {
        INVITE.device_proof(DEVICE.public_bytes),
        INVITE.issuer_proof(DEVICE.public_bytes),
        INVITE.device_proof(ISSUER.public_bytes),
        other.device_proof(DEVICE.public_bytes),
        Invite(ISSUER.host_id, ISSUER.public_bytes, INVITE.secret).device_proof(DEVICE.public_bytes),
        Invite(MESH.host_id, DEVICE.public_bytes, INVITE.secret).device_proof(DEVICE.public_bytes),
    }
    assert len(proofs) == 6
    assert {len(proof) for proof in proofs} == {32}
    with pytest.raises(InvalidInviteError):
        INVITE.device_proof(b"short")
