"""The header of an envelope: everything about a move but the state, signed by the source.

Verify first, parse after: :func:`verify_header` checks the signature over the exact bytes that came, then
reads them with the strict parser, then compares what they say with what the receiver knows. Nothing is
ever written again to be verified.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import SerializationError
from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import HookKind, MoveKind
from paglets.remote.envelopes.fields import (
    MAX_COUNT,
    Digest,
    Line,
    MaybeDigest,
    Size,
    check_class_name,
    check_key_id,
    check_line,
    check_paglet_id,
)
from paglets.remote.transfer import TransferTicket
from paglets.remote.trust.errors import MalformedFrameError, MisdirectedFrameError
from paglets.remote.trust.signed_frames import SignedFrame, open_frame, seal_frame
from paglets.remote.trust.strict_json import read_strict, write_strict

if TYPE_CHECKING:
    from paglets.remote.trust.keys import HostKey

PROTOCOL_VERSION = 1
ENVELOPE_LABEL = b"paglets-envelope-v1\0"
MAX_HEADER_BYTES = 128 * 1024
MAX_FILES = 1024


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A registered file or artifact that travels behind the state."""

    name: Line
    digest: Digest
    size: Size


class InactiveEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a parked paglet is parked: its record moves, not its process."""

    policy: dict[str, Any]
    request: dict[str, Any]


class EnvelopeHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What moves, as whom, from where and to where. Defaults are for writers: on the wire every field is there."""

    protocol: Literal[1] = PROTOCOL_VERSION
    mesh_id: str
    kind: MoveKind
    transfer_id: TransferId
    agent_id: Line
    birth: str
    """Host id of the host that the paglet was created on."""
    incarnation: Incarnation
    """Lineage and epoch that it will have at the target."""
    source: str
    """Host id of the sending host: the id of the key that signs this."""
    destination: str
    """Host id of the host that this is meant for, and of no other."""
    class_name: Line
    state_class_name: Line
    code_version: Line = ""
    state_codec: Literal["pickle5-data"] = "pickle5-data"
    payload_size: Size
    artifacts: Annotated[list[FileEntry], msgspec.Meta(max_length=MAX_FILES)] = []
    files: Annotated[list[FileEntry], msgspec.Meta(max_length=MAX_FILES)] = []
    ticket: dict[str, Any] = {}
    """Wire form of the ticket."""
    previous_receipt: MaybeDigest = ""
    """SHA-256 of the receipt by which the paglet came to the source; empty where it was born."""
    sent_at: float = 0.0
    """Wall clock of the source, for people."""
    source_name: Line = ""
    source_url: Line = ""
    target_name: Line = ""
    target_url: Line = ""
    """Names and addresses are hints, for events and people."""
    clone_of: Line = ""
    """Agent id of the original; set exactly when ``kind`` is a clone."""
    hook: HookKind = HookKind.ARRIVAL
    """Which hook runs at the target."""
    event: dict[str, Any] = {}
    """The fields of that hook's event that only the source knows."""
    inactive: InactiveEntry | None = None
    """Set when a parked paglet's record moves."""


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header with its signature, made here or verified here."""

    header: EnvelopeHeader
    frame: SignedFrame

    @property
    def digest(self) -> str:
        """SHA-256 of the header's bytes, hex: what the trailer names."""
        return hashlib.sha256(self.frame.body).hexdigest()

    def encode(self) -> bytes:
        """The header frame as it travels."""
        return self.frame.encode()


def sign_header(key: HostKey, header: EnvelopeHeader) -> SignedHeader:
    """Sign a header, after the checks that it will meet at the target (``MalformedFrameError``)."""
    try:
        body = write_strict(header)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedFrameError(f"an envelope's header cannot be written: {error}") from error
    if len(body) > MAX_HEADER_BYTES:
        raise MalformedFrameError(
            f"an envelope's header of {len(body)} bytes is over its bound of {MAX_HEADER_BYTES}"
        )
    _check(read_strict(body, EnvelopeHeader, what="an envelope's header"))
    if header.source != key.host_id:
        raise MalformedFrameError("an envelope is signed with the key of its source")
    return SignedHeader(header, seal_frame(key, ENVELOPE_LABEL, body))


def verify_header(
    data: bytes | str, *, mesh_id: str, destination: str | None, source: str | None
) -> SignedHeader:
    """Verify and read a header frame.

    ``destination`` is this host's id and ``source`` the connection's peer; None leaves one open, for tools
    that show stored headers.

    Raises:
        FrameError: malformed, altered or badly signed.
        MisdirectedFrameError: genuine, but of another mesh, for another host, or signed by another key than
            the connection's.
    """
    frame = open_frame(data, ENVELOPE_LABEL, max_body=MAX_HEADER_BYTES)
    if source is not None and frame.signer_id != source:
        raise MisdirectedFrameError(
            f"an envelope signed by {frame.signer_id} came over a connection of {source}"
        )
    header = read_strict(frame.body, EnvelopeHeader, what="an envelope's header")
    _check(header)
    if header.source != frame.signer_id:
        raise MisdirectedFrameError("an envelope names another source than the key that signed it")
    if header.mesh_id != mesh_id:
        raise MisdirectedFrameError("an envelope is of another mesh")
    if destination is not None and header.destination != destination:
        raise MisdirectedFrameError(f"an envelope is meant for {header.destination}, not for this host")
    return SignedHeader(header, frame)


def _check(header: EnvelopeHeader) -> None:
    """What the types cannot say."""
    for value, what in (
        (header.mesh_id, "an envelope's mesh"),
        (header.birth, "an envelope's birth host"),
        (header.source, "an envelope's source"),
        (header.destination, "an envelope's destination"),
    ):
        check_key_id(value, what)
    check_paglet_id(header.agent_id, "an envelope's agent id")
    check_class_name(header.class_name, "an envelope's class")
    check_class_name(header.state_class_name, "an envelope's state class")
    for text in (
        header.code_version,
        header.source_name,
        header.source_url,
        header.target_name,
        header.target_url,
    ):
        check_line(text, "a text in an envelope", required=False)
    check_incarnation(header.incarnation)
    if header.transfer_id.source != header.source or not 1 <= header.transfer_id.counter <= MAX_COUNT:
        raise MalformedFrameError("an envelope's transfer id is not its source's")
    if header.source == header.destination:
        raise MalformedFrameError("an envelope is meant for the host that sends it")
    if (header.kind is MoveKind.CLONE) != bool(header.clone_of):
        raise MalformedFrameError("an envelope is a clone's exactly when it names the original")
    if header.clone_of:
        check_paglet_id(header.clone_of, "the original that an envelope names")
    _check_terms(header)


def _check_terms(header: EnvelopeHeader) -> None:
    """The parts in wire form read as what they are, so that nothing that is kept turns out unreadable later."""
    try:
        if header.ticket:
            TransferTicket.from_wire(header.ticket)
        if header.inactive is not None:
            DeactivationPolicy.from_wire(header.inactive.policy)
            DeactivationRequest.from_wire(header.inactive.request)
    except SerializationError as error:
        raise MalformedFrameError(f"an envelope's terms are none: {error}") from error


def check_incarnation(incarnation: Incarnation) -> None:
    """``MalformedFrameError`` unless it is one that the rules can have made."""
    number, adopter = incarnation.lineage.number, incarnation.lineage.adopter
    in_bounds = 1 <= incarnation.epoch <= MAX_COUNT and 0 <= number <= MAX_COUNT
    if not in_bounds or bool(number) != bool(adopter):
        raise MalformedFrameError("an envelope's incarnation is none that can be")
    if adopter:
        check_key_id(adopter, "an envelope's adopting host")
