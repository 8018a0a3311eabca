"""The revocation set: which keys of the mesh are dead. It only grows, and two sets merge by union.

An entry is a signed frame: the mesh, the key, a reason. The authority may revoke any key but its own; an
issuer (whose certificate comes in the entry) may revoke members, not issuers. Entries stay in force for
ever, also when the issuer that signed them is revoked later. There is one entry per (key, signer); the
digest covers those pairs, so sets that met are equal whatever the wording of their entries.

Thread-safe for readers: the store's writer thread looks at :meth:`RevocationSet.is_revoked` inside a commit.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from paglets.remote.trust.errors import (
    BadCertificateError,
    FrameError,
    InvalidKeyIdError,
    MalformedFrameError,
    MisdirectedFrameError,
    RevocationSetFullError,
)
from paglets.remote.trust.host_ids import check_host_id
from paglets.remote.trust.signed_frames import open_frame, seal_frame
from paglets.remote.trust.strict_json import read_strict, write_strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paglets.remote.trust.certificates import Authority, PeerIdentity
    from paglets.remote.trust.keys import HostKey

REVOCATION_LABEL = b"paglets-revocation-v1\0"
MAX_ENTRY_BYTES = 8 * 1024
MAX_BY_AUTHORITY = 4096
MAX_BY_ISSUER = 256
MAX_ISSUERS = 32
"""Stolen issuer keys can fill their own share only, never the authority's."""
MAX_REMEMBERED = 4096
"""Members whose issuer is remembered."""

_log = logging.getLogger(__name__)


class RevocationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a revocation says, as it is signed."""

    mesh_id: str
    key_id: str
    """The host, admin or issuer whose key is dead from now on."""
    reason: Annotated[str, msgspec.Meta(max_length=200)]
    at: float
    """Wall clock, for people."""
    issuer_certificate: str
    """DER in base64, when an issuer signed; empty for the authority."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One verified entry."""

    key_id: str
    signer_id: str
    reason: str
    at: float
    by_authority: bool
    entry: bytes
    """The signed frame: what is stored and passed on."""


class RevocationStore(Protocol):
    """What the set needs of the store."""

    def revocations(self) -> Iterable[bytes]:
        """Every entry that was added, in any order."""
        ...

    def add_revocation(self, entry: bytes) -> None:
        """Make an entry durable; must not block, may finish later. The set calls it once per entry."""
        ...


def sign_revocation(
    key: HostKey,
    mesh_id: str,
    key_id: str,
    *,
    reason: str,
    at: float,
    issuer_certificate: bytes | None = None,
) -> bytes:
    """An entry, signed by the authority's key or by an issuer's (then with its certificate, DER)."""
    certificate = base64.b64encode(issuer_certificate or b"").decode("ascii")
    body = RevocationBody(
        mesh_id=mesh_id,
        key_id=check_host_id(key_id),
        reason=reason[:200],
        at=at,
        issuer_certificate=certificate,
    )
    return seal_frame(key, REVOCATION_LABEL, write_strict(body)).encode()


def verify_revocation(entry: bytes, authority: Authority) -> Revocation:
    """Read an entry, from anyone.

    Raises:
        FrameError: altered, malformed or badly signed.
        BadCertificateError: signed by a key that is no issuer's of this mesh.
        MisdirectedFrameError: of another mesh, or of a key that its signer may not revoke.
    """
    frame = open_frame(entry, REVOCATION_LABEL, max_body=MAX_ENTRY_BYTES)
    body = read_strict(frame.body, RevocationBody, what="a revocation")
    try:
        check_host_id(body.key_id)
        certificate = base64.b64decode(body.issuer_certificate, validate=True)
    except (InvalidKeyIdError, binascii.Error, ValueError) as error:
        raise MalformedFrameError(f"a revocation does not hold what it must: {error}") from error
    if body.mesh_id != authority.mesh_id:
        raise MisdirectedFrameError("a revocation is of another mesh")
    by_authority = not certificate
    signer = authority.public_bytes if by_authority else _issuer_key(certificate, authority)
    if frame.signer != signer:
        raise BadCertificateError("a revocation is not signed by the authority or issuer that it names")
    if body.key_id == authority.mesh_id:
        raise MisdirectedFrameError("a mesh's authority cannot be revoked; a new mesh is the way out")
    return Revocation(body.key_id, frame.signer_id, body.reason, body.at, by_authority, entry)


class RevocationSet:
    """The entries that this host knows, checked, in memory; written through to a store when it has one."""

    def __init__(self, authority: Authority, store: RevocationStore | None = None) -> None:
        self._authority = authority
        self._store = store
        self._entries: dict[tuple[str, str], Revocation] = {}  # by (key id, signer id)
        self._dead: set[str] = set()  # every revoked key id
        self._dead_issuers: set[str] = set()  # those that the authority revoked: it alone may revoke issuers
        self._issuers: dict[str, str] = {}  # member -> issuer of the certificate it last showed, newest last
        self._per_signer: Counter[str] = Counter()
        self._digest = ""  # computed when asked for; empty after a change
        self._listeners: list[Callable[[Revocation], None]] = []
        if store is not None:
            for entry in store.revocations():
                self._restore(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def is_revoked(self, key_id: str) -> bool:
        """Whether that member's key is dead, or that of the issuer of the certificate it last showed.

        Any thread may ask.
        """
        return key_id in self._dead or self._issuers.get(key_id) in self._dead_issuers

    def is_issuer_revoked(self, key_id: str) -> bool:
        """Whether certificates signed by that key are dead; only the authority can have said so."""
        return key_id in self._dead_issuers

    def is_peer_revoked(self, identity: PeerIdentity) -> bool:
        """Whether the key of a member that shows its certificate, or its issuer's, is dead.

        Remembers the issuer, so that :meth:`is_revoked` and :meth:`struck_by` can tell by the key alone.
        """
        if identity.issuer_id != self._authority.mesh_id:
            self._issuers.pop(identity.host_id, None)
            self._issuers[identity.host_id] = identity.issuer_id
            if len(self._issuers) > MAX_REMEMBERED:
                self._issuers.pop(next(iter(self._issuers)), None)
        else:
            self._issuers.pop(identity.host_id, None)
        return self.is_revoked(identity.host_id)

    def struck_by(self, revocation: Revocation) -> set[str]:
        """Key ids of the members whose sessions an entry ends: its key's, and those that its key admitted."""
        struck = {revocation.key_id}
        if revocation.by_authority:
            known = tuple(self._issuers.items())  # the loop's thread may change it meanwhile
            struck.update(member for member, issuer in known if issuer == revocation.key_id)
        return struck

    def entries(self) -> list[bytes]:
        """Every entry, to pass on."""
        return [revocation.entry for revocation in tuple(self._entries.values())]

    def revocations(self) -> list[Revocation]:
        """Every entry, to show."""
        return list(self._entries.values())

    def digest(self) -> str:
        """64 hex digits; equal sets have equal digests."""
        if not self._digest:
            pairs = "\n".join(f"{key_id} {signer_id}" for key_id, signer_id in sorted(self._entries))
            self._digest = hashlib.sha256(pairs.encode("ascii")).hexdigest()
        return self._digest

    def add_listener(self, listener: Callable[[Revocation], None]) -> None:
        """Call ``listener`` for each key that becomes revoked from now on, on the thread that merges.

        It must not raise.
        """
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[Revocation], None]) -> None:
        """Stop calling ``listener``; nothing happens when it is unknown."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def add(self, entry: bytes) -> bool:
        """Take in one entry; False when it was known.

        Raises:
            FrameError, BadCertificateError, MisdirectedFrameError: see :func:`verify_revocation`.
            RevocationSetFullError: its signer's share is used up.
        """
        revocation = verify_revocation(entry, self._authority)
        if not self._admit(revocation):
            return False
        # In memory first: to refuse a key sooner than it is durably dead does no harm.
        for listener in tuple(self._listeners):
            listener(revocation)
        if self._store is not None:
            self._store.add_revocation(entry)
        return True

    def merge(self, entries: Iterable[bytes]) -> int:
        """Take in what a peer told; how many were new. A bad entry spoils only itself."""
        new, refused, reason = 0, 0, ""
        for entry in entries:
            try:
                new += self.add(entry)
            except (FrameError, BadCertificateError, MisdirectedFrameError, RevocationSetFullError) as error:
                refused, reason = refused + 1, str(error)
        if refused:
            _log.warning("refused revocation entries", extra={"count": refused, "last_reason": reason})
        return new

    def _restore(self, entry: bytes) -> None:
        try:
            self._admit(verify_revocation(entry, self._authority))
        except (FrameError, BadCertificateError, MisdirectedFrameError, RevocationSetFullError) as error:
            _log.error("a stored revocation entry is not valid here", extra={"reason": str(error)})

    def _admit(self, revocation: Revocation) -> bool:
        pair = (revocation.key_id, revocation.signer_id)
        if pair in self._entries:
            return False
        self._check_bounds(revocation)
        self._entries[pair] = revocation
        self._per_signer[revocation.signer_id] += 1
        self._dead.add(revocation.key_id)
        if revocation.by_authority:
            self._dead_issuers.add(revocation.key_id)
        self._digest = ""
        return True

    def _check_bounds(self, revocation: Revocation) -> None:
        used = self._per_signer.get(revocation.signer_id, 0)
        full = used >= (MAX_BY_AUTHORITY if revocation.by_authority else MAX_BY_ISSUER)
        if not revocation.by_authority and not used:
            full = len(self._per_signer.keys() - {self._authority.mesh_id}) >= MAX_ISSUERS
        if full:
            raise RevocationSetFullError(
                f"the revocations signed by {revocation.signer_id} have reached their bound"
            )


@lru_cache(maxsize=MAX_ISSUERS)
def _issuer_key(certificate: bytes, authority: Authority) -> bytes:
    from paglets.remote.trust.reading import read_issuer  # noqa: PLC0415 - start time

    return read_issuer(certificate, authority)
