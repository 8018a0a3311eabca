"""Somebody who speaks the wire by hand: a host or an admin of the mesh that does not keep to the rules."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import pickle
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import MoveKind, Outcome
from paglets.remote.envelopes.header import ENVELOPE_LABEL, EnvelopeHeader, SignedHeader
from paglets.remote.envelopes.trailer import EnvelopeTrailer, sign_trailer
from paglets.remote.envelopes.verdicts import read_verdict, read_verdict_answer
from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.remote.trust.signed_frames import seal_frame
from paglets.remote.trust.strict_json import write_strict
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.dialer import Dialer
from paglets.remote.wire.member_trust import MemberTrust
from paglets.remote.wire.pool import LinkPool
from paglets.remote.wire.settings import CONTROL_PATH, REFUSED_PREFIX, STREAM_PATH, WireSettings
from paglets.remote.wire.strangers import Strangers, ignore_security
from tests.wire.raw_link import RawLink

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from paglets.runtime.host import Host

QUIET = "tests.security.samples:Quiet"
QUIET_STATE = "tests.security.samples:QuietState"
STATE = pickle.dumps({"count": 41, "notes": []}, protocol=5)
BOUND = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back for an envelope: a signed verdict, an unsigned refusal, or a closed connection."""

    kind: str
    """``arrived``, ``fenced``, ``refused`` or ``closed``."""
    reason: str = ""
    frame: bytes = b""


@dataclass
class Intruder:
    """A member with a certificate of its own. Its envelopes are good until a test changes something."""

    credentials: MeshCredentials
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def host(cls, mesh: Path, name: str = "mallory") -> Intruder:
        """A host of the mesh."""
        return cls(MeshCredentials.for_host(MeshDirectory(mesh), HostKey.generate(), name))

    @classmethod
    def admin(cls, mesh: Path) -> Intruder:
        """An admin of the mesh."""
        return cls(MeshCredentials.for_admin(MeshDirectory(mesh), "mallory"))

    @property
    def key(self) -> HostKey:
        return self.credentials.key

    @property
    def trust(self) -> MemberTrust:
        return MemberTrust(self.credentials)

    @property
    def context(self) -> ssl.SSLContext:
        return self.credentials.client_context()

    # --- connections ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self, url: str, path: str = CONTROL_PATH) -> AsyncGenerator[RawLink]:
        """A WebSocket on which anything can be said."""
        dialer = Dialer(self.trust, Strangers(ignore_security), WireSettings())
        link = await dialer.open(HostAddress(url), path, 64 * 1024 * 1024, RawLink)
        try:
            yield link
        finally:
            link.discard()
            await link.channel.wait_closed()

    @asynccontextmanager
    async def pool(self) -> AsyncGenerator[LinkPool]:
        """Links that are used as they should be."""
        pool = LinkPool(self.trust)
        try:
            yield pool
        finally:
            await pool.close()

    async def ask(self, url: str, method: str, params: msgspec.Struct, *, timeout: float = BOUND) -> Any:
        """One call on a link of its own; the decoded result, or the error that the host reports."""
        async with self.pool() as pool:
            return msgspec.json.decode(await pool.call(HostAddress(url), method, params, timeout=timeout))

    # --- envelopes -----------------------------------------------------------------------------------

    def header(self, victim: Host, **changes: Any) -> EnvelopeHeader:
        """A good header of a new paglet's move to the victim, with changes."""
        counter = next(self.numbers)
        fields: dict[str, Any] = {
            "mesh_id": self.credentials.mesh_id,
            "kind": MoveKind.DISPATCH,
            "transfer_id": TransferId(self.key.host_id, counter),
            "agent_id": f"wanderer-{self.key.host_id[:6]}-{counter}",
            "birth": self.key.host_id,
            "incarnation": Incarnation(epoch=2),
            "source": self.key.host_id,
            "destination": victim.host_id,
            "class_name": QUIET,
            "state_class_name": QUIET_STATE,
            "code_version": victim.settings.mesh_version,
            "payload_size": len(STATE),
            "ticket": {"destination": "victim"},
            "source_name": "mallory",
        }
        return EnvelopeHeader(**{**fields, **changes})

    def sign(self, header: EnvelopeHeader, *, key: HostKey | None = None) -> SignedHeader:
        """Sign a header without looking at it."""
        return SignedHeader(header, seal_frame(key or self.key, ENVELOPE_LABEL, write_strict(header)))

    def sign_body(self, body: bytes) -> bytes:
        """Sign whatever it is as a header."""
        return seal_frame(self.key, ENVELOPE_LABEL, body).encode()

    def trailer(self, signed: SignedHeader, payload: bytes = STATE) -> bytes:
        """The trailer that belongs to a header and its payload."""
        digest = hashlib.sha256(payload).digest()
        return sign_trailer(self.key, signed, payload_size=len(payload), payload_digest=digest).encode()

    async def send(
        self,
        victim: Host,
        header: EnvelopeHeader | SignedHeader | bytes,
        payload: bytes = STATE,
        *,
        trailer: bytes | None = None,
    ) -> Answer:
        """Send one envelope on a connection of its own; without a trailer, the one that belongs to it."""
        async with self.open(victim.address, STREAM_PATH) as link:
            return await self.send_on(link, victim, header, payload, trailer=trailer)

    async def send_on(
        self,
        link: RawLink,
        victim: Host,
        header: EnvelopeHeader | SignedHeader | bytes,
        payload: bytes = STATE,
        *,
        trailer: bytes | None = None,
    ) -> Answer:
        """Send one envelope on an open stream; the answer."""
        if isinstance(header, EnvelopeHeader):
            header = self.sign(header)
        if isinstance(header, SignedHeader):
            trailer = self.trailer(header, payload) if trailer is None else trailer
            header = header.encode()
        frames = [payload[start : start + 262_144] for start in range(0, len(payload), 262_144)]
        try:
            link.channel.send_text(header)
            for frame in frames:
                await asyncio.sleep(0)
                link.channel.send_binary(frame)
                await link.channel.drain()
            link.channel.send_text(trailer or b"{}")
        except OSError:
            pass  # the host has hung up; what it said is here already
        return await self.answer(link, victim)

    async def answer(self, link: RawLink, victim: Host) -> Answer:
        """The next answer on a stream."""
        said = asyncio.ensure_future(link.arrived.get())
        closed = asyncio.ensure_future(link.closed(BOUND))
        done, waiting = await asyncio.wait([said, closed], timeout=BOUND, return_when=asyncio.FIRST_COMPLETED)
        assert done, "the host gave no answer"
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)
        if said not in done:
            return Answer("closed", closed.result())
        if closed in done:
            closed.exception()
        frame = said.result()
        if frame.startswith(REFUSED_PREFIX):
            report = msgspec.json.decode(frame)["refused"]
            return Answer("refused", f"{report['type']}: {report['message']}", frame)
        answer = read_verdict_answer(frame)
        verdict = read_verdict(
            answer.verdict, mesh_id=self.credentials.mesh_id, target=victim.host_id
        ).verdict
        kind = "arrived" if verdict.outcome is Outcome.ARRIVED else "fenced"
        return Answer(kind, verdict.reason, frame)


def altered_trailer(key: HostKey, signed: SignedHeader, **changes: Any) -> bytes:
    """A trailer that is signed as it should be, and says something else."""
    trailer = EnvelopeTrailer(
        transfer_id=signed.header.transfer_id,
        header_digest=signed.digest,
        payload_size=len(STATE),
        payload_digest=hashlib.sha256(STATE).hexdigest(),
    )
    changed = msgspec.structs.replace(trailer, **changes)
    return seal_frame(key, b"paglets-envelope-trailer-v1\0", write_strict(changed)).encode()
