"""Key ids: how hosts, admins, issuers and meshes are named. Only keys identify; this is a key as text.

A key id is the SHA-256 of the raw Ed25519 public key in base32 (RFC 4648, lower case, no padding: 52
characters) and two check characters, 54 in all. The check is the sum of ``(position + 1) * value`` over
the 52 characters, modulo the prime 1021, as two base32 characters. Because 1021 is a prime greater than
every difference that one slip can cause, it finds every single wrong character and every swap of two,
and misses one in about a thousand of anything worse.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

from paglets.remote.trust.errors import InvalidKeyIdError

PUBLIC_KEY_BYTES = 32
KEY_ID_CHARACTERS = 54

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_HASH_CHARACTERS = 52
_CHECK_MODULUS = 1021
_GROUP = 6
_SHORT = 8
_LOOKALIKES = str.maketrans({"0": "o", "1": "l", "8": "b"})


@lru_cache(maxsize=256)
def host_id_of(public_bytes: bytes) -> str:
    """The id of the host (admin, issuer, mesh authority) with that raw Ed25519 public key, 32 bytes."""
    if len(public_bytes) != PUBLIC_KEY_BYTES:
        raise InvalidKeyIdError(
            f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, not {len(public_bytes)}"
        )
    return key_id_of_digest(hashlib.sha256(public_bytes).digest())


def key_id_of_digest(digest: bytes) -> str:
    """The id of the key whose raw public bytes have that SHA-256 (as certificates carry it)."""
    if len(digest) != hashlib.sha256().digest_size:
        raise InvalidKeyIdError(f"a key's digest has 32 bytes, not {len(digest)}")
    text = base64.b32encode(digest).decode("ascii").rstrip("=").lower()
    return text + _check_characters(text)


@lru_cache(maxsize=1024)
def check_host_id(text: str) -> str:
    """The id itself, when it is one in its exact form; ``InvalidKeyIdError`` says what is wrong."""
    if len(text) != KEY_ID_CHARACTERS:
        raise InvalidKeyIdError(
            f"{_shown(text)} is no host id: it has {len(text)} characters, not {KEY_ID_CHARACTERS}"
        )
    for position, character in enumerate(text):
        if character not in _VALUES:
            raise InvalidKeyIdError(
                f"{_shown(text)} is no host id: character {position + 1} is {character!r}, not a-z or 2-7"
            )
    body = text[:_HASH_CHARACTERS]
    if text[_HASH_CHARACTERS:] != _check_characters(body):
        raise InvalidKeyIdError(
            f"{_shown(text)} is no host id: its check characters do not fit, look for a slip"
        )
    if _VALUES[body[-1]] & 0b1111:
        raise InvalidKeyIdError(f"{_shown(text)} is no host id: bits behind the end of its hash are set")
    return text


def parse_host_id(text: str) -> str:
    """The id that a person typed: any case, in groups, ``0 1 8`` for ``o l b``; ``InvalidKeyIdError``."""
    if len(text) > 4 * KEY_ID_CHARACTERS:
        raise InvalidKeyIdError(f"{_shown(text)} is no host id: it is far too long")
    compact = "".join(text.split()).replace("-", "").lower().translate(_LOOKALIKES)
    return check_host_id(compact)


def grouped_host_id(host_id: str) -> str:
    """The id for people to read aloud and compare: nine groups of six, joined by ``-``."""
    return "-".join(host_id[start : start + _GROUP] for start in range(0, len(host_id), _GROUP))


def short_host_id(host_id: str) -> str:
    """The first eight characters: enough to tell hosts apart on a screen, never enough to identify one."""
    return host_id[:_SHORT]


def digest_of_host_id(host_id: str) -> bytes:
    """The SHA-256 inside an id: 32 bytes; ``InvalidKeyIdError`` for what is none."""
    body = check_host_id(host_id)[:_HASH_CHARACTERS]
    return base64.b32decode(body.upper() + "====")


@lru_cache(maxsize=1024)
def _check_characters(body: str) -> str:
    total = (
        sum((position + 1) * _VALUES[character] for position, character in enumerate(body)) % _CHECK_MODULUS
    )
    return _ALPHABET[total >> 5] + _ALPHABET[total & 0b11111]


def _shown(text: str) -> str:
    """A bounded, printable form of a text that may be hostile."""
    return repr(text if len(text) <= 64 else text[:61] + "...")
