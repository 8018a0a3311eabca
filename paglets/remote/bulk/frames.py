"""What opens and ends the transfer of an artifact or of a file: signed like envelopes, under labels of their own.

A header travels as ``{"push":FRAME}``, ``{"pull":FRAME}`` or ``{"file":FRAME}``. The word only says which label
the signature has to be under, so nothing can be read as what it is not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, Literal, TypeVar

import msgspec

from paglets.core.incarnation import TransferId
from paglets.remote.envelopes.fields import MAX_COUNT, Digest, MaybeDigest, Size
from paglets.remote.trust.errors import MalformedFrameError, MisdirectedFrameError, PayloadMismatchError
from paglets.remote.trust.signed_frames import SignedFrame, open_frame, seal_frame
from paglets.remote.trust.strict_json import read_strict, write_strict

if TYPE_CHECKING:
    from paglets.remote.trust.signers import Signer

MAX_HEADER_BYTES = 32 * 1024
MAX_TRAILER_BYTES = 1024
TRAILER_LABEL = b"paglets-bulk-trailer-v1\0"

Word = Annotated[str, msgspec.Meta(max_length=512)]
UploadId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-zA-Z._-]{1,80}\Z")]
MaybeSize = Annotated[int, msgspec.Meta(ge=-1, le=MAX_COUNT)]
Time = Annotated[float, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
PathText = Annotated[str, msgspec.Meta(max_length=4096)]


class BulkHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all of them say. Defaults are for writers: on the wire every field is there."""

    protocol: Literal[1] = 1
    mesh_id: str
    source: str
    """Id of the key that signs this."""
    destination: str
    """Host id of the host that this is meant for."""


class PushHeader(BulkHeader, frozen=True):
    """An artifact for the host that gets this."""

    upload_id: UploadId
    """The sender's name for it: with it an interrupted upload goes on where it was."""
    size: MaybeSize
    """Of the content; -1 when the sender does not know."""
    digest: MaybeDigest = ""
    """SHA-256 that the sender expects; empty when it does not know yet."""
    name: Word = ""
    compression: Word = ""
    owner_agent_id: Word = ""
    expires_at: Time = 0.0


class PullHeader(BulkHeader, frozen=True):
    """An artifact of the host that gets this, from an offset of its content on."""

    artifact_id: Word
    offset: Size = 0


class FileHeader(BulkHeader, frozen=True):
    """A file that a paglet takes along, ahead of its envelope."""

    transfer_id: TransferId
    floor: Size
    """All transfers of the source to this target below that counter are settled: nobody waits for their files."""
    agent_id: Word
    """Who moves, under the id that it will have at the target."""
    number: Annotated[int, msgspec.Meta(ge=0, lt=1024)]
    name: Name
    mode: Literal["copy", "move"]
    size: Size
    source_host_name: Word
    source_host_url: Word
    source_path: PathText
    source_created_at: float
    source_modified_at: float


HeaderT = TypeVar("HeaderT", bound=BulkHeader)
_KINDS: dict[type[BulkHeader], tuple[bytes, bytes]] = {
    PushHeader: (b'{"push":', b"paglets-push-v1\0"),
    PullHeader: (b'{"pull":', b"paglets-pull-v1\0"),
    FileHeader: (b'{"file":', b"paglets-file-v1\0"),
}


@dataclass(frozen=True, slots=True)
class SignedBulkHeader(Generic[HeaderT]):
    """A header with its signature, made or verified here."""

    header: HeaderT
    frame: SignedFrame

    @property
    def digest(self) -> str:
        """SHA-256 of the header's bytes, hex: what the trailer names."""
        return hashlib.sha256(self.frame.body).hexdigest()

    def encode(self) -> bytes:
        """As it travels."""
        return _KINDS[type(self.header)][0] + self.frame.encode() + b"}"


class BulkTrailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the whole content was, from whoever sent it, under the header that asked for it or announced it."""

    header_digest: Digest
    size: Size
    digest: Digest


def kind_of(data: bytes) -> type[BulkHeader] | None:
    """Which header a frame says that it is; None: an envelope's, or no header at all."""
    return next((kind for kind, (prefix, _) in _KINDS.items() if data.startswith(prefix)), None)


def sign_bulk_header(signer: Signer, header: HeaderT) -> SignedBulkHeader[HeaderT]:
    """Sign a header; ``MalformedFrameError`` for what the other side could not take."""
    body = write_strict(header)
    if len(body) > MAX_HEADER_BYTES:
        raise MalformedFrameError(f"a header of {len(body)} bytes is over its bound of {MAX_HEADER_BYTES}")
    read_strict(body, type(header), what="a header")
    return SignedBulkHeader(header, seal_frame(signer.key, _KINDS[type(header)][1], body))


def verify_bulk_header(
    data: bytes, kind: type[HeaderT], *, mesh_id: str, destination: str, source: str
) -> SignedBulkHeader[HeaderT]:
    """Verify and read a header frame that ``kind_of`` says is one of that kind.

    ``source``: the key of the connection; empty for a local socket, whose user the kernel vouches for.

    Raises:
        FrameError: malformed, altered or badly signed.
        MisdirectedFrameError: genuine, but of another mesh, for another host, or signed by another key.
    """
    prefix, label = _KINDS[kind]
    frame = open_frame(data[len(prefix) : -1], label, max_body=MAX_HEADER_BYTES)
    header = read_strict(frame.body, kind, what="a header")
    if header.source != frame.signer_id:
        raise MisdirectedFrameError("a header names another source than the key that signed it")
    if source and frame.signer_id != source:
        raise MisdirectedFrameError(
            f"a header signed by {frame.signer_id} came over a connection of {source}"
        )
    if source and header.mesh_id != mesh_id:
        raise MisdirectedFrameError("a header is of another mesh")
    if header.destination != destination and (source or header.destination):
        raise MisdirectedFrameError(f"a header is meant for {header.destination}, not for this host")
    return SignedBulkHeader(header, frame)


def sign_bulk_trailer(signer: Signer, header_digest: str, *, size: int, digest: bytes) -> bytes:
    """The trailer frame of content of that size and SHA-256 (32 bytes)."""
    trailer = BulkTrailer(header_digest=header_digest, size=size, digest=digest.hex())
    return seal_frame(signer.key, TRAILER_LABEL, write_strict(trailer)).encode()


def verify_bulk_trailer(
    data: bytes, *, header_digest: str, signer_id: str, size: int, digest: bytes | None = None
) -> BulkTrailer:
    """Verify a trailer against what its receiver counted and, unless that comes later, hashed.

    Raises:
        FrameError: malformed, altered or badly signed.
        PayloadMismatchError: size or digest of what came are not what was signed.
        MisdirectedFrameError: for another header, or signed by another key (``signer_id``; empty: by any).
    """
    frame = open_frame(data, TRAILER_LABEL, max_body=MAX_TRAILER_BYTES)
    trailer = read_strict(frame.body, BulkTrailer, what="a trailer")
    if trailer.header_digest != header_digest or (signer_id and frame.signer_id != signer_id):
        raise MisdirectedFrameError("a trailer belongs to another header, or is signed by another key")
    if trailer.size != size or (digest is not None and trailer.digest != digest.hex()):
        raise PayloadMismatchError(
            f"what came ({size} bytes) is not what its sender signed ({trailer.size} bytes)"
        )
    return trailer


class Offset(msgspec.Struct, frozen=True):
    """The receiver's first word: from where to go on; or, when all of it is here already, its verdict."""

    offset: int
    verdict: msgspec.Raw = msgspec.Raw()
    """Empty: it is not all here."""
