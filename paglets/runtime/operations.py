"""The one table of operations that a host offers, behind all of its doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from paglets.core.agent_ids import check_agent_id
from paglets.core.errors import ForbiddenError, HostError, SerializationError
from paglets.remote.api import HOST_ASK, AskParams, CreateParams, MessageParams
from paglets.remote.wire.control_server import EVERYONE, Operation
from paglets.remote.wire.peer import Peer, PeerKind
from paglets.remote.wire.pending import Pending
from paglets.runtime.caller import PROGRAM, Caller
from paglets.runtime.outward_calls import OutwardCalls

if TYPE_CHECKING:
    from paglets.runtime.child_specs import Call
    from paglets.runtime.children.child import Child
    from paglets.runtime.circles import Circles
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers

Handler = Callable[[Caller, Any], Awaitable[Any]]
"""Answers raw JSON bytes, ``msgspec.Raw``, a struct or plain data. See ``Operation`` for what it may return."""


class Post(Protocol):
    """Brings a message to a paglet on another host, keeping it durably if need be."""

    def __call__(
        self, host_id: str, url: str, params: MessageParams, *, timeout: float | None
    ) -> Pending[bytes]:
        """The answer of that host to come, or that the message is accepted."""
        ...


MEMBERS = frozenset({PeerKind.MEMBER})
LOCAL = frozenset({PeerKind.LOCAL})


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation: its parameters, what answers, and whether paglets may ask for it."""

    params: type[msgspec.Struct]
    handler: Handler
    who: frozenset[PeerKind] = EVERYONE
    paglets: bool = True
    patient: bool = False
    """It may wait for as long as a paglet takes; see ``Operation``."""


class Operations:
    """Runs operations for children, for peers and for the program itself."""

    def __init__(self, *, here: Here, peers: Peers, circles: Circles) -> None:
        self._here = here
        self._peers = peers
        self._circles = circles
        self.outward = OutwardCalls()
        self.post: Post | None = None
        """Brings messages to paglets on other hosts; set once, when the host is put together."""
        self._entries: dict[str, tuple[Entry, msgspec.json.Decoder[Any]]] = {}
        self.add({HOST_ASK: Entry(AskParams, self._ask, LOCAL, paglets=False)})

    def add(self, entries: dict[str, Entry]) -> None:
        """Put operations on the table, before the host opens its doors."""
        for method, entry in entries.items():
            self._entries[method] = (entry, msgspec.json.Decoder(entry.params))

    def control_table(self) -> dict[str, Operation]:
        """The table for the control links of the listener."""
        return {
            method: Operation(entry.params, _for_peers(entry.handler), entry.who, patient=entry.patient)
            for method, (entry, _) in self._entries.items()
        }

    def call(self, child: Child, call: Call) -> Awaitable[bytes]:
        """Answer what a paglet asks for: here, or at the host that it names."""
        entry, decoder = self._find(call.method)
        if not entry.paglets:
            raise ForbiddenError(f"a paglet may not call {call.method}")
        try:
            params = decoder.decode(call.params)
        except msgspec.MsgspecError as error:
            raise SerializationError(f"{call.method}: {error}") from None
        caller = Caller(child=child, call=call)
        if isinstance(params, MessageParams):
            return self._send(entry, caller, call, params)
        return self._carry_out(entry, caller, call, params)

    async def _carry_out(self, entry: Entry, caller: Caller, call: Call, params: Any) -> bytes:
        if not self._here.is_me(call.host_url):
            with self.outward.place(call.host_url, caller.share_key):
                return await self._peers.call("", call.host_url, call.method, params, timeout=call.timeout)
        return encoded(await entry.handler(caller, _checked(params)))

    def _send(self, entry: Entry, caller: Caller, call: Call, params: MessageParams) -> Awaitable[bytes]:
        """A message: nearly all that paglets ask for, so no task is made for it unless something has to wait."""
        params = self._circles.stamped(params, caller)
        waits = self._circles.wait(params)
        try:
            reply = self._bring(entry, caller, call, params)
        except BaseException:
            if waits:
                self._circles.answered(params)
            raise
        if waits:
            reply.add_done_callback(lambda _: self._circles.answered(params))
        return reply

    def _bring(self, entry: Entry, caller: Caller, call: Call, params: MessageParams) -> Pending[bytes]:
        url, asker = call.host_url, caller.share_key
        if self._here.is_me(url):
            check_agent_id(params.agent_id)
            here = entry.handler(caller, params)
            if not isinstance(here, Pending):
                raise TypeError(f"{call.method} takes a message, and is not answered at once")
            return here
        if self.post is None:
            raise HostError("this host is not ready yet")
        self.outward.take(url, asker)
        try:
            reply = self.post("", url, params, timeout=call.timeout)
        except BaseException:
            self.outward.give_back(url, asker)
            raise
        reply.add_done_callback(lambda _: self.outward.give_back(url, asker))
        return reply

    async def call_here(self, method: str, params: msgspec.Struct) -> bytes:
        """Run an operation for the program that embeds the host."""
        entry, _ = self._find(method)
        return encoded(await entry.handler(PROGRAM, _checked(params)))

    async def _ask(self, caller: Caller, params: AskParams) -> Any:
        """Run an operation here, or at the host that is named, for somebody on this machine."""
        entry, decoder = self._find(params.method)
        if PeerKind.LOCAL not in entry.who:
            raise ForbiddenError(f"{params.method} is for hosts to ask each other")
        try:
            onward = decoder.decode(params.params)
        except msgspec.MsgspecError as error:
            raise SerializationError(f"{params.method}: {error}") from None
        if self._here.is_me(params.host_url):
            return await entry.handler(caller, _checked(onward))
        if isinstance(onward, MessageParams):
            onward = msgspec.structs.replace(onward, sender=None, waiting=[])
        target = await self._peers.find(params.host_url)
        return await self._peers.call(
            target.host_id, target.url, params.method, onward, timeout=params.timeout
        )

    def _find(self, method: str) -> tuple[Entry, msgspec.json.Decoder[Any]]:
        found = self._entries.get(method)
        if found is None:
            raise HostError(f"this host has no operation {method[:100]!r}")
        return found


def _checked(params: Any) -> Any:
    agent_id = getattr(params, "agent_id", None)
    may_be_empty = isinstance(params, CreateParams)
    if agent_id is not None and not (may_be_empty and not agent_id):
        check_agent_id(agent_id)
    return params


def encoded(result: Any) -> bytes:
    """A handler's result as JSON text."""
    if isinstance(result, bytes):
        return result
    return msgspec.json.encode(result)


def _for_peers(handler: Handler) -> Callable[[Peer, Any], Awaitable[Any]]:
    def answer(peer: Peer, params: Any) -> Awaitable[Any]:
        return handler(Caller(peer=peer), _checked(params))

    return answer
