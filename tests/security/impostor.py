"""A host of the mesh that answers what a test tells it to."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.persistence.records import Outcome, VerdictRecord
from paglets.remote import api
from paglets.remote.envelopes.header import verify_header
from paglets.remote.envelopes.verdicts import VerdictAnswer, sign_verdict
from paglets.remote.members import Gossip, HostFacts, MemberFact
from paglets.remote.wire.control_server import Operation
from paglets.remote.wire.listener import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.remote.envelopes.header import EnvelopeHeader
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.stream_server import IncomingStream
    from tests.security.intruder import Intruder


class Anything(msgspec.Struct):
    """Parameters that nobody looks at."""


@dataclass
class Impostor:
    """Its ``answers`` are by method, as JSON text; its ``verdict`` is what it says of every transfer."""

    who: Intruder
    code_version: str
    answers: dict[str, bytes] = field(default_factory=dict[str, bytes])
    verdict: bytes = b"{}"
    url: str = ""
    taken: list[EnvelopeHeader] = field(default_factory=list["EnvelopeHeader"])

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Impostor]:
        """At its port, until the end of the block."""
        methods = [value for name, value in vars(api).items() if name.isupper() and isinstance(value, str)]
        operations = {method: Operation(Anything, self._answer(method)) for method in methods}
        listener = Listener(self.who.trust, operations=operations, reads={}, streams=self)
        await listener.start()
        self.url = listener.urls[0]
        try:
            yield self
        finally:
            await listener.close()

    def hello(self, **changes: Any) -> bytes:
        """A greeting, with changes."""
        plain = api.HelloParams(
            host_id=self.who.key.host_id, name="impostor", url=self.url, code_version=self.code_version
        )
        return msgspec.json.encode(msgspec.structs.replace(plain, **changes))

    def facts(self, **changes: Any) -> HostFacts:
        """What it tells of itself, with changes."""
        return msgspec.structs.replace(
            HostFacts(self.who.key.host_id, "impostor", self.url, code_version=self.code_version), **changes
        )

    def _answer(self, method: str) -> Any:
        async def answer(_peer: Peer, _params: Anything) -> msgspec.Raw:
            if method == api.HOST_HELLO and method not in self.answers:
                return msgspec.Raw(self.hello())
            if method == api.MESH_PING and method not in self.answers:
                return msgspec.Raw(msgspec.json.encode(Gossip(sender=MemberFact(self.facts()))))
            return msgspec.Raw(self.answers.get(method, b"{}"))

        return answer

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        """Take an envelope in, and say of it what was to be said."""
        async for _ in stream:
            pass
        signed = verify_header(
            stream.header,
            mesh_id=self.who.credentials.mesh_id,
            destination=self.who.key.host_id,
            source=peer.host_id,
        )
        self.taken.append(signed.header)
        return self.verdict

    def word(
        self, transfer_id: TransferId, agent_id: str, incarnation: Incarnation, outcome: Outcome, key: HostKey
    ) -> bytes:
        """A signed verdict, as it travels."""
        record = VerdictRecord(transfer_id, agent_id, incarnation, outcome, "", 1.0)
        signed = sign_verdict(key, self.who.credentials.mesh_id, record)
        return VerdictAnswer(verdict=signed.encode().decode("ascii"), store_id="s", commit=1).encode()
