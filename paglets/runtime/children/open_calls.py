"""What a child has asked of its host and is not answered yet."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from paglets.core.error_reports import report
from paglets.core.errors import HostError, PagletError
from paglets.core.fair_share import FairShare
from paglets.remote.moved import MovedReply
from paglets.remote.wire.pending import Pending
from paglets.runtime.child_specs import Call
from paglets.runtime.children.json_text import check_json
from paglets.runtime.frames import CallResult, FrameError, MakeCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.runtime.children.link import HostLink

    _Answer = Pending[bytes] | asyncio.Future[bytes]

logger = logging.getLogger(__name__)

MAX_CALLS = 4096
"""Calls of one child under way; one more is answered by an error."""
MAX_CALL_BYTES = 64 * 1024 * 1024
"""Parameters of the calls of one child under way."""
MAX_UNSENT = 32 * 1024 * 1024
"""What may wait for a child to read it before its further answers are dropped."""
_CALL_BYTES = 1000  # what a call takes besides its parameters


def calls_room(limit: int = MAX_CALL_BYTES) -> FairShare:
    """Bytes of the calls of all children that have it, shared fairly among them."""
    return FairShare("bytes of calls by paglets", limit, each=MAX_CALL_BYTES)


class OpenCalls:
    """Calls of one child: each runs ``on_call``, as a task if need be, and sends what comes of it.

    ``room``: the bytes of calls, shared with other children.
    """

    def __init__(self, agent_id: str, on_call: Callable[[Call], Awaitable[bytes]], room: FairShare) -> None:
        self._agent_id = agent_id
        self._on_call = on_call
        self._room = room
        self._open: dict[int, _Answer] = {}

    def begin(self, link: HostLink, frame: MakeCall) -> None:
        """Start on a call; ``FrameError`` for what is none."""
        if not frame.with_descriptor:
            self._begin(link, frame, None)
            return
        descriptor = link.take_descriptor()
        try:
            self._begin(link, frame, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def _begin(self, link: HostLink, frame: MakeCall, descriptor: int | None) -> None:
        if frame.id in self._open:
            raise FrameError(f"a second call with the number {frame.id}")
        check_json(frame.params, "parameters", is_object=True)
        call = Call(
            id=frame.id,
            host_url=frame.host_url,
            method=frame.method,
            params=frame.params,
            thread=frame.thread,
            timeout=frame.timeout,
            descriptor=descriptor,
        )
        size = len(frame.params) + _CALL_BYTES
        if len(self._open) >= MAX_CALLS or not self._room.fits(self._agent_id, size):
            # Reading has to go on: the paglet's own replies, which free places, come over the same socket.
            if descriptor is not None:
                os.close(descriptor)
            self._room.refuse(self._agent_id)
            link.send(CallResult(call.id, error=report(HostError(self._too_many()))))
            return
        self._room.add(self._agent_id, size)
        answer = self._begun(call)
        self._open[frame.id] = answer
        answer.add_done_callback(partial(self._ended, link, call, size))

    def _begun(self, call: Call) -> _Answer:
        try:
            answer = self._on_call(call)
        except Exception as error:  # noqa: BLE001 - answered, and logged there if it is none of the API page
            refused: Pending[bytes] = Pending()
            refused.set_exception(error)
            return refused
        return answer if isinstance(answer, Pending) else asyncio.ensure_future(answer)

    def _ended(self, link: HostLink, call: Call, size: int, done: _Answer) -> None:
        # Before the answer leaves: with it the child may use the number again.
        del self._open[call.id]
        self._room.give_back(self._agent_id, size)
        if call.descriptor is not None:
            os.close(call.descriptor)
        if not done.cancelled():
            self._answer(link, call, done)

    def _too_many(self) -> str:
        return (
            f"{len(self._open)} calls of this paglet ({self._room.held(self._agent_id)} bytes) are under way already; "
            "wait for some of them before making more"
        )

    async def aclose(self) -> None:
        """Cancel what is under way, and wait for it."""
        under_way = [answer for answer in self._open.values() if answer is not asyncio.current_task()]
        for answer in under_way:
            answer.cancel()
        if tasks := [answer for answer in under_way if isinstance(answer, asyncio.Future)]:
            await asyncio.wait(tasks)

    def _answer(self, link: HostLink, call: Call, done: _Answer) -> None:
        error = done.exception()
        if error is None:
            result = done.result()
            answer = CallResult(
                call.id, bytes(result), moved_to=result.host_url if isinstance(result, MovedReply) else ""
            )
        else:
            if not isinstance(error, PagletError):
                logger.error(
                    "an operation that a paglet asked for failed",
                    extra={"agent_id": self._agent_id, "method": call.method},
                    exc_info=error,
                )
            answer = CallResult(call.id, error=report(error))
        if link.unsent + len(answer.result) > MAX_UNSENT:
            dropped = HostError(
                f"the answer to {call.method} was dropped: {link.unsent} bytes wait for this paglet to read them"
            )
            answer = CallResult(call.id, error=report(dropped))
        try:
            link.send(answer)
        except FrameError as too_long:
            link.send(CallResult(call.id, error=report(too_long)))
