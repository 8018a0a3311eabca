"""The answering side of ``/v1/control``: a table of operations, and the connections that use it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import HostError, PagletError, SerializationError
from paglets.core.fair_share import FairShare
from paglets.remote import api
from paglets.remote.moved import MovedReply
from paglets.remote.wire import frames
from paglets.remote.wire.peer import Peer, PeerKind
from paglets.remote.wire.pending import Pending
from paglets.remote.wire.reports import report_of
from paglets.remote.wire.strangers import Refusal, Strangers
from paglets.remote.wire.subscriptions import Subscribe, Subscription

if TYPE_CHECKING:
    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.settings import WireSettings

logger = logging.getLogger(__name__)

Result = Any
"""What a handler answers: a struct, plain data, ``msgspec.Raw`` (checked to be JSON), or bytes that are JSON."""
Handler = Callable[[Peer, Any], Awaitable[Result]]
EVERYONE = frozenset(PeerKind)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method: its parameters, who may call it, and what answers.

    A coroutine function is run as a task of the connection, cancelled when the peer goes. A plain function
    that returns an ``asyncio.Future`` costs no task, and one that returns a ``Pending`` no turn of the loop.
    """

    params: type[msgspec.Struct]
    handler: Handler
    who: frozenset[PeerKind] = EVERYONE
    patient: bool = False
    """Calls of it may wait for long (for a paglet's reply): they leave an eighth of the places to others."""


@dataclass(frozen=True, slots=True)
class SubscriptionOperation:
    """A method that is answered by ``{"subscription": n}``, and then by notifications."""

    params: type[msgspec.Struct]
    subscribe: Subscribe
    notification: str
    who: frozenset[PeerKind] = EVERYONE


@dataclass(slots=True)
class _Entry:
    operation: Operation | SubscriptionOperation
    decoder: msgspec.json.Decoder[Any]


@dataclass(slots=True)
class ControlServer:
    """The table of operations, shared by all connections of a host."""

    operations: Mapping[str, Operation | SubscriptionOperation]
    settings: WireSettings
    strangers: Strangers
    running: set[asyncio.Future[Result]] = field(default_factory=set["asyncio.Future[Result]"])
    """Calls of all connections that have not ended yet, cancelled ones too."""
    call_bytes: FairShare = field(init=False)
    """Bytes of calls that wait for their answer, by peer."""
    subscribers: FairShare = field(init=False)
    """Subscriptions by peer."""
    _table: dict[str, _Entry] = field(init=False)

    def __post_init__(self) -> None:
        self.call_bytes = FairShare("bytes of calls by peers", self.settings.max_call_bytes)
        self.subscribers = FairShare("subscriptions", self.settings.max_subscriptions_here)
        self._table = {
            method: _Entry(operation, msgspec.json.Decoder(operation.params))
            for method, operation in self.operations.items()
        }

    def lookup(self, method: str) -> _Entry | None:
        """The operation of that name."""
        return self._table.get(method)

    def connect(self, channel: Channel, peer: Peer) -> ControlConnection:
        """Serve an authenticated peer on this channel until it goes."""
        connection = ControlConnection(self, channel, peer)
        channel.attach(connection, max_size=self.settings.max_control_frame)
        return connection

    async def settle(self) -> None:
        """Wait for the calls that were cancelled when their peers went."""
        while self.running:
            await asyncio.wait(tuple(self.running))


class ControlConnection:
    """One peer's control link, seen from the host that answers."""

    def __init__(self, server: ControlServer, channel: Channel, peer: Peer) -> None:
        self.peer = peer
        self._server = server
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._running: dict[frames.RequestId, Pending[Result] | asyncio.Future[Result]] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._next_subscription = 1
        self._bad_frames = 0

    # --- what arrives --------------------------------------------------------------------------------

    def message_received(self, data: bytes, *, text: bool) -> None:
        """One frame: answered, or begun to be."""
        try:
            request = frames.decode_request(data, text=text)
        except frames.FrameError as error:
            self._bad_frame(error)
            return
        request_id = request.id
        if not isinstance(request_id, int | str):
            return  # no operation is a notification; the specification wants silence
        if request_id in self._running:
            self._bad_frame(frames.FrameError(frames.INVALID_REQUEST, "this id is in use", request_id))
        elif len(self._running) >= self._places(request.method) or not self._server.call_bytes.fits(
            self.peer.share_key, len(data)
        ):
            self._server.call_bytes.refuse(self.peer.share_key)
            busy = HostError("too many calls wait for their answers; try again when some have been given")
            self._fail(request_id, frames.TOO_BUSY, busy)
        else:
            self._begin(request_id, request, len(data))

    def writable(self) -> None:
        """There is room for events again."""
        for subscription in tuple(self._subscriptions.values()):
            subscription.flush()

    def connection_closed(self, reason: str) -> None:
        """The peer is gone: what it asked for is cancelled."""
        logger.debug("a control link ended", extra={"peer": self.peer.address, "reason": reason})
        for running in tuple(self._running.values()):
            running.cancel()
        for subscription in tuple(self._subscriptions.values()):
            subscription.end()
        for number in tuple(self._subscriptions):
            self._forget(number)

    # --- calls ---------------------------------------------------------------------------------------

    def _places(self, method: str) -> int:
        entry = self._server.lookup(method)
        places = self._server.settings.max_in_flight
        if entry is not None and isinstance(entry.operation, Operation) and entry.operation.patient:
            return places - max(1, places // 8)
        return places

    def _begin(self, request_id: frames.RequestId, request: frames.Request, size: int) -> None:
        entry = self._server.lookup(request.method)
        if entry is None and request.method != api.SUBSCRIPTION_CANCEL:
            message = f"there is no operation {request.method[:100]!r} here"
            self._fail(request_id, frames.METHOD_NOT_FOUND, HostError(message))
            return
        if entry is None:
            self._cancel_subscription(request_id, request)
            return
        if self.peer.kind not in entry.operation.who:
            message = f"{request.method} is not for a peer of kind {self.peer.kind.value}"
            self._server.strangers.refuse(
                Refusal.FORBIDDEN, self.peer.address, f"{self.peer.name}: {message}"
            )
            self._fail(request_id, frames.FORBIDDEN, HostError(message))
            return
        try:
            params = entry.decoder.decode(request.params)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"{request.method}: {error}"
            self._fail(request_id, frames.INVALID_PARAMS, HostError(message))
            return
        if isinstance(entry.operation, SubscriptionOperation):
            self._subscribe(request_id, entry.operation, params)
            return
        self._run(request_id, request.method, entry.operation, params, size)

    def _run(
        self, request_id: frames.RequestId, method: str, operation: Operation, params: Any, size: int
    ) -> None:
        try:
            answer = operation.handler(self.peer, params)
        except Exception as error:  # noqa: BLE001 - answered, and logged there if it is none of the API page
            self._answer_error(request_id, method, error)
            return
        if isinstance(answer, Pending):
            self._wait_for(request_id, method, answer, size)
            return
        running = answer if isinstance(answer, asyncio.Future) else asyncio.ensure_future(answer)
        self._server.running.add(running)
        running.add_done_callback(self._server.running.discard)
        self._wait_for(request_id, method, running, size)

    def _wait_for(
        self,
        request_id: frames.RequestId,
        method: str,  # the request itself, with its parameters, is not kept
        running: Pending[Result] | asyncio.Future[Result],
        size: int,
    ) -> None:
        self._running[request_id] = running
        self._server.call_bytes.add(self.peer.share_key, size)

        def ended(done: Pending[Result] | asyncio.Future[Result]) -> None:
            del self._running[request_id]
            self._server.call_bytes.give_back(self.peer.share_key, size)
            self._answer(request_id, method, done)

        running.add_done_callback(ended)

    def _answer(
        self, request_id: frames.RequestId, method: str, done: Pending[Result] | asyncio.Future[Result]
    ) -> None:
        if done.cancelled():
            if self._channel.is_open:
                self._fail(
                    request_id, frames.INTERNAL_ERROR, HostError(f"{method} was cancelled by the host")
                )
            return
        error = done.exception()
        if error is None:
            try:
                result = done.result()
                moved_to = result.host_url if isinstance(result, MovedReply) else ""
                raw = result if isinstance(result, bytes) else frames.encode_value(result)
                frame = frames.encode_result(request_id, raw, moved_to)
            except (TypeError, ValueError) as bad_result:
                error = bad_result
            else:
                error = self._not_to_be_sent(method, frame)
                if error is None:
                    self._send(frame)
                    return
        self._answer_error(request_id, method, error)

    def _answer_error(self, request_id: frames.RequestId, method: str, error: BaseException) -> None:
        if isinstance(error, PagletError):
            self._fail(request_id, frames.OPERATION_FAILED, error)
            return
        logger.error(
            "an operation failed", extra={"method": method, "peer": self.peer.address}, exc_info=error
        )
        self._fail(request_id, frames.INTERNAL_ERROR, HostError(f"{method}: {type(error).__name__}: {error}"))

    def _not_to_be_sent(self, method: str, frame: bytes) -> PagletError | None:
        settings = self._server.settings
        if len(frame) > settings.max_control_frame:
            # The other side would have to end the link, and with it everybody's calls.
            return SerializationError(
                f"{method}: an answer of {len(frame)} bytes is over the bound of {settings.max_control_frame}"
            )
        if self._overflows(len(frame), settings.max_unsent):
            return HostError(
                f"{method} was carried out, but its answer of {len(frame)} bytes was dropped: "
                f"{self._channel.unsent} bytes wait for you to read them"
            )
        return None

    def _overflows(self, size: int, bound: int) -> bool:
        return self._channel.stuck and self._channel.unsent + size > bound

    # --- subscriptions -------------------------------------------------------------------------------

    def _subscribe(self, request_id: frames.RequestId, operation: SubscriptionOperation, params: Any) -> None:
        mine = len(self._subscriptions) < self._server.settings.max_subscriptions
        if not mine or not self._server.subscribers.take(self.peer.share_key):
            whose = "the host" if mine else "this connection"
            message = f"{whose} has as many subscriptions as it may; end some, or ask again later"
            self._fail(request_id, frames.TOO_BUSY, HostError(message))
            return
        number = self._next_subscription
        self._next_subscription += 1
        subscription = Subscription(
            number,
            operation.notification,
            self._channel,
            self._forget,
            limit=self._server.settings.subscription_queue,
            limit_bytes=self._server.settings.subscription_bytes,
        )
        self._subscriptions[number] = subscription
        self._send(frames.encode_result(request_id, b'{"subscription":%d}' % number))
        try:
            subscription.begin(operation.subscribe(self.peer, params, subscription.push))
        except PagletError as error:
            subscription.drop(str(error))

    def _cancel_subscription(self, request_id: frames.RequestId, request: frames.Request) -> None:
        try:
            number = msgspec.json.decode(request.params, type=api.SubscriptionParams).subscription
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._fail(request_id, frames.INVALID_PARAMS, HostError(f"{request.method}: {error}"))
            return
        subscription = self._subscriptions.get(number)
        if subscription is not None:
            subscription.end()
            self._forget(number)
        self._send(frames.encode_result(request_id, b"{}"))

    def _forget(self, number: int) -> None:
        if self._subscriptions.pop(number, None) is not None:
            self._server.subscribers.give_back(self.peer.share_key)

    # --- what leaves ---------------------------------------------------------------------------------

    def _send(self, frame: bytes) -> None:
        if self._channel.is_open:
            self._channel.send_text(frame)

    def _fail(self, request_id: frames.RequestId, code: int, error: PagletError) -> None:
        frame = frames.encode_error(request_id, code, str(error), report_of(error))
        if self._channel.is_open and self._overflows(len(frame), 2 * self._server.settings.max_unsent):
            self._channel.abort("it does not read what it is answered")
        else:
            self._send(frame)

    def _bad_frame(self, error: frames.FrameError) -> None:
        self._bad_frames += 1
        self._send(frames.encode_error(error.request_id, error.code, str(error)))
        if self._bad_frames >= self._server.settings.max_bad_frames:
            reason = "too many frames that are no requests"
            self._server.strangers.refuse(
                Refusal.BAD_FRAMES, self.peer.address, f"{self.peer.name}: {reason}"
            )
            self._channel.close(1008, reason)
