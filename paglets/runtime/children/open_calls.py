"""What a child has asked of its host and is not answered yet."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from paglets.core.error_reports import report
from paglets.core.errors import HostError, PagletError
from paglets.core.fair_share import FairShare
from paglets.remote.moved import MovedReply
from paglets.runtime.child_specs import Call
from paglets.runtime.children.json_text import check_json
from paglets.runtime.frames import CallResult, FrameError, MakeCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.runtime.children.link import HostLink

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
    """Calls of one child, each a task that runs ``on_call`` and sends what comes of it.

    ``room``: the bytes of calls, shared with other children.
    """

    def __init__(self, agent_id: str, on_call: Callable[[Call], Awaitable[bytes]], room: FairShare) -> None:
        self._agent_id = agent_id
        self._on_call = on_call
        self._room = room
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self, link: HostLink, frame: MakeCall) -> None:
        """Start on a call; ``FrameError`` for what is none."""
        descriptor = link.take_descriptor() if frame.with_descriptor else None
        try:
            self._begin(link, frame, descriptor)
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise

    def _begin(self, link: HostLink, frame: MakeCall, descriptor: int | None) -> None:
        if frame.id in self._tasks:
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
        if len(self._tasks) >= MAX_CALLS or not self._room.fits(self._agent_id, size):
            # Reading has to go on: the paglet's own replies, which free places, come over the same socket.
            if descriptor is not None:
                os.close(descriptor)
            self._room.refuse(self._agent_id)
            link.send(CallResult(call.id, error=report(HostError(self._too_many()))))
            return
        self._room.add(self._agent_id, size)
        task = asyncio.get_running_loop().create_task(self._answer(link, call))
        self._tasks[frame.id] = task
        task.add_done_callback(lambda _: self._room.give_back(self._agent_id, size))
        if descriptor is not None:
            task.add_done_callback(lambda _: os.close(descriptor))

    def _too_many(self) -> str:
        return (
            f"{len(self._tasks)} calls of this paglet ({self._room.held(self._agent_id)} bytes) are under way already; "
            "wait for some of them before making more"
        )

    async def aclose(self) -> None:
        """Cancel what is under way, and wait for it."""
        tasks = [task for task in self._tasks.values() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _answer(self, link: HostLink, call: Call) -> None:
        try:
            result = await self._on_call(call)
            answer = CallResult(
                call.id, bytes(result), moved_to=result.host_url if isinstance(result, MovedReply) else ""
            )
        except PagletError as error:
            answer = CallResult(call.id, error=report(error))
        except Exception as error:
            logger.exception(
                "an operation that a paglet asked for failed",
                extra={"agent_id": self._agent_id, "method": call.method},
            )
            answer = CallResult(call.id, error=report(error))
        finally:
            # Before the answer leaves: with it the child may use the number again.
            del self._tasks[call.id]
        if link.unsent > MAX_UNSENT or link.unsent + len(answer.result) > MAX_UNSENT:
            dropped = HostError(
                f"the answer to {call.method} was dropped: {link.unsent} bytes wait for this paglet to read them"
            )
            answer = CallResult(call.id, error=report(dropped))
        try:
            link.send(answer)
        except FrameError as error:
            link.send(CallResult(call.id, error=report(error)))
