"""The stream of one move, from the source's side: header and payload, then, when told so, the trailer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from paglets.core.errors import PagletError, RemoteHostError
from paglets.remote.envelopes.trailer import sign_trailer
from paglets.remote.wire.quiet import look_away
from paglets.remote.wire.settings import CHUNK_BYTES
from paglets.runtime.transfers import events as on

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from paglets.remote.envelopes.stops import Stop
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.stream_client import OutgoingStream
    from paglets.runtime.peers import Peers
    from paglets.runtime.transfers.move_parts import Cargo

logger = logging.getLogger(__name__)


class Sending:
    """Sends one envelope, and tells the machine how far it came; the trailer waits for ``finish``.

    ``tell`` gets ``PayloadSent``, ``Refused`` or ``StreamLost``, and at the end what ``read`` makes of the
    target's answer. Cancelling ``run`` gives the stream up.
    """

    def __init__(
        self,
        *,
        peers: Peers,
        key: HostKey,
        cargo: Cargo,
        stops: Callable[[], Coroutine[Any, Any, Sequence[Stop]]],
        patience: float,
        tell: Callable[[on.Event], None],
        read: Callable[[bytes], on.Event],
    ) -> None:
        self._peers = peers
        self._key = key
        self._cargo = cargo
        self._stops = stops
        self._patience = patience
        self._tell = tell
        self._read = read
        loop = asyncio.get_running_loop()
        self._digest: asyncio.Future[bytes] = loop.create_future()
        self._prepared: asyncio.Future[None] = loop.create_future()

    def seal(self, payload_digest: bytes) -> None:
        """The payload's SHA-256: the trailer can be signed, and waits for ``finish``."""
        if not self._digest.done():
            self._digest.set_result(payload_digest)

    def finish(self, payload_digest: bytes) -> None:
        """Let the trailer leave: PREPARED is durable, with a payload of that SHA-256."""
        self.seal(payload_digest)
        if not self._prepared.done():
            self._prepared.set_result(None)

    async def run(self) -> None:
        """Send all of it, and wait for the answer, no longer than ``patience`` seconds after the trailer."""
        try:
            async with self._peers.stream(self._cargo.target) as stream:
                answer = asyncio.ensure_future(stream.verdict())
                answer.add_done_callback(look_away)  # a refusal may be raised by what is being sent, too
                stops = asyncio.create_task(self._stops())  # read while the payload leaves
                stops.add_done_callback(look_away)
                try:
                    frame = await self._converse(stream, answer, stops)
                finally:
                    answer.cancel()
                    stops.cancel()
            event = self._read(frame)
        except PagletError as error:
            if isinstance(error, RemoteHostError):
                self._peers.lost(self._cargo.target.host_id)
                self._tell(on.StreamLost(str(error)))
            else:
                self._tell(on.Refused(str(error)))
        except Exception as error:
            logger.exception("sending a paglet failed", extra={"target": str(self._cargo.target)})
            self._tell(on.StreamLost(f"{type(error).__name__}: {error}"))
        else:
            self._tell(event)

    async def _converse(
        self, stream: OutgoingStream, answer: asyncio.Future[bytes], stops: asyncio.Future[Sequence[Stop]]
    ) -> bytes:
        await stream.send_header(self._cargo.header.encode())
        offset = 0
        while offset < self._cargo.payload.size:
            chunk = self._cargo.payload.pread(CHUNK_BYTES, offset)
            await stream.send_chunk(chunk)
            offset += len(chunk)
        passport = await stops
        self._tell(on.PayloadSent())
        # A refusal that comes before the trailer may leave is told at once: the move can still be taken back.
        await asyncio.wait({answer, self._digest}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        trailer = sign_trailer(
            self._key,
            self._cargo.header,
            payload_size=self._cargo.payload.size,
            payload_digest=self._digest.result(),
            passport=passport,
        ).encode()
        await asyncio.wait({answer, self._prepared}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        await stream.send_trailer(trailer)
        await asyncio.wait({answer}, timeout=self._patience)
        if not answer.done():
            raise RemoteHostError(f"the host at {stream.url} gave no verdict in time")
        return answer.result()
