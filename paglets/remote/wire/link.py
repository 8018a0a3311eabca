"""The calling side of one control link: many calls at a time, told apart by id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import PagletError, RemoteHostError, SerializationError
from paglets.remote import api
from paglets.remote.moved import MovedReply
from paglets.remote.wire import frames
from paglets.remote.wire.deadlines import Deadlines
from paglets.remote.wire.failures import HostAwayError, LinkLostError
from paglets.remote.wire.pending import Pending
from paglets.remote.wire.reports import error_of

if TYPE_CHECKING:
    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer

request_prefix = cache(frames.request_prefix)
_encoder = msgspec.json.Encoder()
_FRAME_ROOM = 64
"""Bytes of a request around its method and parameters."""


Receive = Callable[["bytes | None", str], None]
"""Takes one event as raw JSON, or ``None`` and why there will be no more."""


class _EventParams(msgspec.Struct, frozen=True):
    subscription: int
    event: msgspec.Raw = msgspec.Raw(b"null")
    reason: str = ""


class _Call(Pending[bytes]):
    """A call that waits for its answer."""

    __slots__ = ("method", "request_id", "timeout")

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.request_id = 0
        self.timeout: float | None = None


class Link:
    """An open control link to a host."""

    def __init__(
        self, channel: Channel, peer: Peer, url: str, *, max_waiting: int, max_frame: int, max_unsent: int
    ) -> None:
        self.peer = peer
        """Who answers."""
        self.url = url
        """Where it was reached."""
        self.last_used = channel.now()
        self._channel = channel
        self._max_waiting = max_waiting
        self._max_frame = max_frame
        self._max_unsent = max_unsent
        self._waiting: dict[int, Pending[bytes]] = {}
        self._deadlines: Deadlines[_Call] = Deadlines(self._expire)
        self._queued = 0
        self._events: dict[int, Receive] = {}
        self._subscribing: dict[int, Receive] = {}
        self._next_id = 1

    @property
    def is_open(self) -> bool:
        """Whether calls can be sent."""
        return self._channel.is_open

    @property
    def is_ready(self) -> bool:
        """Whether a call can be sent without waiting for earlier output, or coming before one that does."""
        return self._channel.is_open and not self._channel.stuck and not self._queued

    @property
    def unsent(self) -> int:
        """Bytes that wait to be taken by the host, about."""
        return self._channel.unsent

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything here."""
        return not self._waiting and not self._events

    async def call(self, method: str, params: msgspec.Struct, *, timeout: float | None = None) -> bytes:
        """Call and wait for the raw JSON result.

        Raises what the host reports; ``RemoteHostError`` when no answer came in time or the connection was
        lost. A call whose answer did not come may or may not have been carried out.
        """
        await self.room()
        return await self.call_soon(method, _encoder.encode(params), timeout)

    async def room(self) -> None:
        """Wait until earlier output has left: those who wait go on one by one, not all into the buffer at once."""
        self._queued += 1
        try:
            while self._channel.stuck:
                await self._channel.drain()
        except OSError as error:
            raise LinkLostError(f"the connection to the host at {self.url} is closed: {error}") from None
        finally:
            self._queued -= 1

    def call_soon(self, method: str, params: bytes, timeout: float | None) -> Pending[bytes]:
        """As ``call`` with parameters that are JSON already: sent now, answered later.

        Cancel what is returned to give up. ``RemoteHostError`` when the call cannot be sent.
        """
        self.last_used = self._channel.now()
        call = _Call(method)
        self._send(request_prefix(method), params, call)
        if timeout is not None:
            call.timeout = timeout
            self._deadlines.add(call, timeout)
        call.add_done_callback(self._ended)
        return call

    def _ended(self, call: Pending[bytes]) -> None:
        if isinstance(call, _Call):
            self._waiting.pop(call.request_id, None)
            if call.timeout is not None:
                self._deadlines.discard(call, call.timeout)

    @property
    def under_way(self) -> int:
        """Calls that wait for an answer."""
        return len(self._waiting)

    def begin(self, method: str, params: bytes) -> tuple[int, Pending[bytes]]:
        """Send a call that nobody bounds in time: its id, and its raw JSON result to come."""
        call = _Call(method)
        self._send(request_prefix(method), params, call)
        return call.request_id, call

    def _send(self, prefix: bytes, params: bytes, call: _Call) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise RemoteHostError(f"too many calls wait for the host at {self.url}")
        if self._channel.stuck and self._channel.unsent + len(params) > self._max_unsent:
            raise RemoteHostError(
                f"{self._channel.unsent} bytes wait to be sent to the host at {self.url}; try again when it has read"
            )
        if len(prefix) + len(params) > self._max_frame - _FRAME_ROOM:
            # The other side would have to end the link, and with it everybody's calls.
            raise SerializationError(
                f"a call of {len(params)} bytes to the host at {self.url} is over the bound of {self._max_frame}"
            )
        request_id = self._next_id
        self._next_id += 1
        try:
            self._channel.send_text(frames.encode_request(prefix, request_id, params))
        except OSError as error:
            raise LinkLostError(f"the connection to the host at {self.url} is closed: {error}") from None
        call.request_id = request_id
        self._waiting[request_id] = call

    async def subscribe(
        self, method: str, params: msgspec.Struct, receive: Receive, *, timeout: float | None = None
    ) -> Callable[[], None]:
        """Start a subscription: ``receive(event, "")`` gets each one, ``receive(None, why)`` the end.

        Answers the function that stops it.
        """
        request_id, answer = self.begin(method, _encoder.encode(params))
        self._subscribing[request_id] = receive
        try:
            async with asyncio.timeout(timeout):
                number = msgspec.json.decode(await answer, type=api.SubscriptionParams).subscription
        except TimeoutError:
            raise HostAwayError(f"the host at {self.url} did not answer {method} in time") from None
        finally:
            self._waiting.pop(request_id, None)
            self._subscribing.pop(request_id, None)

        def stop() -> None:
            if self._events.pop(number, None) is not None and self.is_open:
                cancel = _encoder.encode(api.SubscriptionParams(subscription=number))
                self.begin(api.SUBSCRIPTION_CANCEL, cancel)

        return stop

    def close(self, reason: str = "") -> None:
        """End the link politely; calls that wait fail."""
        self._channel.close(1000, reason)

    def discard(self) -> None:
        """Cut the link."""
        self._channel.abort("not needed")

    def doubt(self, patience: float) -> None:
        """Cut the connection unless the other side shows a sign of life within ``patience`` seconds."""
        self._channel.doubt(patience)

    @property
    def local_address(self) -> str:
        """This end's IP address; empty for a Unix socket."""
        return self._channel.local_address

    async def wait_closed(self) -> None:
        """Wait until the link is gone."""
        await self._channel.wait_closed()

    # --- Receiver ------------------------------------------------------------------------------------

    def message_received(self, data: bytes, *, text: bool) -> None:
        """One frame from the host."""
        try:
            answer = frames.decode_answer(data, text=text)
        except frames.FrameError as error:
            self._channel.close(1008, str(error))
            return
        if answer.method:
            self._notified(answer)
            return
        if not isinstance(answer.id, int):
            return  # an error about a frame that had no id we ever sent
        waiting = self._waiting.pop(answer.id, None)
        receive = self._subscribing.pop(answer.id, None)
        if waiting is None or waiting.done():
            return  # the caller has given up
        if answer.error is not None:
            waiting.set_exception(_error_of(answer.error))
        elif answer.result is msgspec.UNSET:
            waiting.set_exception(RemoteHostError(f"the host at {self.url} sent an answer without a result"))
        else:
            result = bytes(answer.result)
            if receive is not None:
                self._subscribed(result, receive)
            waiting.set_result(MovedReply.at(result, answer.moved_to) if answer.moved_to else result)

    def writable(self) -> None:
        """Callers wait for this by themselves."""

    def connection_closed(self, reason: str) -> None:
        """The link is gone: nobody waits in vain."""
        self._deadlines.close()
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                message = f"the connection to the host at {self.url} was lost before it answered: {reason}"
                answer.set_exception(LinkLostError(message))
        events, self._events = self._events, {}
        for receive in events.values():
            receive(None, f"the connection to the host at {self.url} was lost: {reason}")

    # --- inside --------------------------------------------------------------------------------------

    def _subscribed(self, result: bytes, receive: Receive) -> None:
        """Events may come in the same breath as the answer, so they are expected from here on."""
        try:
            self._events[msgspec.json.decode(result, type=api.SubscriptionParams).subscription] = receive
        except msgspec.DecodeError:
            return  # whoever awaits the answer reports it

    def _notified(self, notification: frames.Answer) -> None:
        try:
            params = msgspec.json.decode(notification.params, type=_EventParams)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if notification.method == api.SUBSCRIPTION_ENDED:
            receive = self._events.pop(params.subscription, None)
            if receive is not None:
                receive(None, params.reason)
            return
        receive = self._events.get(params.subscription)
        if receive is not None:
            receive(bytes(params.event), "")

    def _expire(self, call: _Call, _seconds: float) -> None:
        if not call.done():
            call.set_exception(HostAwayError(f"the host at {self.url} did not answer {call.method} in time"))


def _error_of(error: frames.ErrorObject) -> PagletError:
    try:
        return error_of(bytes(error.data))
    except ValueError:
        return RemoteHostError(error.message)
