"""How far a host's store is, in the host's own words: what its peers remember, and hold against it later.

A host whose store is behind what it once signed was restored from a copy, and gives no verdicts on what it may
have forgotten. Because only the host itself can sign such a word, no peer can make it believe so by a lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from paglets.remote.trust.keys import signature_fits
from paglets.remote.trust.strict_json import write_strict

if TYPE_CHECKING:
    from paglets.remote.trust.keys import HostKey

STANDING_LABEL = b"paglets-store-standing-v1\0"


class _Standing(msgspec.Struct, frozen=True):
    mesh_id: str
    host_id: str
    store_id: str
    commit: int


def sign_standing(key: HostKey, mesh_id: str, store_id: str, commit: int) -> str:
    """The host's signature over its store's id and commit number, 128 hex digits."""
    said = write_strict(_Standing(mesh_id, key.host_id, store_id, commit))
    return key.sign(STANDING_LABEL, said).hex()


def is_own_standing(key: HostKey, mesh_id: str, store_id: str, commit: int, signature: str) -> bool:
    """Whether the holder of ``key`` has once signed exactly that. Never raises, whatever the text is."""
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return False
    said = write_strict(_Standing(mesh_id, key.host_id, store_id, commit))
    return signature_fits(key.public_bytes, STANDING_LABEL, said, raw)
