"""Operations on paglets: list, create, move, park, wake, dispose, message. They follow those that have left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from paglets.core.deactivation import DeactivationRequest
from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    RemoteHostError,
    SerializationError,
)
from paglets.core.messages import ONEWAY
from paglets.persistence.records import MoveKind, Phase
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from paglets.remote.wire.peer import PeerKind
from paglets.remote.wire.settings import MAX_MESSAGE_BYTES
from paglets.runtime.caller import PROGRAM, Caller
from paglets.runtime.operations import MEMBERS, Entry, encoded
from paglets.serialization.values import from_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.persistence.records import Forward
    from paglets.persistence.store import Store
    from paglets.remote.wire.pending import Pending
    from paglets.runtime.births import Births
    from paglets.runtime.checkpoints import Checkpoints
    from paglets.runtime.circles import Circles
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.endings import Endings
    from paglets.runtime.here import Here
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.locating import Locator
    from paglets.runtime.peers import Peers
    from paglets.runtime.residents import Residents
    from paglets.runtime.services.class_offers import ClassOffers
    from paglets.runtime.transfers.departures import Departures
    from paglets.runtime.transfers.first_hooks import FirstHooks
    from paglets.runtime.views import Views

_LONG = 120.0
_MAX_HOPS = 16

_BLANK = b" \t\r\n"


class PagletOperations:
    """The paglets of this host, as operations."""

    def __init__(
        self,
        *,
        residents: Residents,
        store: Store,
        births: Births,
        lifecycle: Lifecycle,
        endings: Endings,
        checkpoints: Checkpoints,
        departures: Departures,
        first_hooks: FirstHooks,
        delivery: Delivery,
        circles: Circles,
        views: Views,
        offers: ClassOffers,
        locator: Locator,
        peers: Peers,
        here: Here,
    ) -> None:
        self._residents = residents
        self._store = store
        self._births = births
        self._lifecycle = lifecycle
        self._endings = endings
        self._checkpoints = checkpoints
        self._departures = departures
        self._first_hooks = first_hooks
        self._delivery = delivery
        self._circles = circles
        self._views = views
        self._offers = offers
        self._locator = locator
        self._peers = peers
        self._here = here

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.PAGLETS_LIST: Entry(api.PagletsListParams, self.list),
            api.PAGLETS_INFO: Entry(api.PagletParams, self._following(api.PAGLETS_INFO, self.info)),
            api.PAGLETS_STATE: Entry(api.PagletParams, self._following(api.PAGLETS_STATE, self.state)),
            api.PAGLETS_LOCATE: Entry(api.LocateParams, self._locator.locate),
            api.PAGLETS_CREATE: Entry(api.CreateParams, self.create),
            api.PAGLETS_DISPATCH: Entry(
                api.DispatchParams, self._following(api.PAGLETS_DISPATCH, self.dispatch)
            ),
            api.PAGLETS_CLONE: Entry(api.CloneParams, self._following(api.PAGLETS_CLONE, self.clone)),
            api.PAGLETS_ARRIVAL: Entry(api.ArrivalParams, self.arrival, MEMBERS, paglets=False),
            api.PAGLETS_DEACTIVATE: Entry(
                api.DeactivateParams, self._following(api.PAGLETS_DEACTIVATE, self.deactivate)
            ),
            api.PAGLETS_ACTIVATE: Entry(
                api.PagletParams, self._following(api.PAGLETS_ACTIVATE, self.activate)
            ),
            api.PAGLETS_DISPOSE: Entry(api.PagletParams, self._following(api.PAGLETS_DISPOSE, self.dispose)),
            api.PAGLETS_CHECKPOINT: Entry(api.PagletParams, self.checkpoint),
            api.PAGLETS_NOTIFY: Entry(api.NotifyParams, self.notify),
            api.MESSAGE_SEND: Entry(api.MessageParams, self.send, patient=True),
            api.MESSAGE_MULTICAST: Entry(api.MulticastParams, self.multicast),
        }

    # --- those that have left ----------------------------------------------------------------------------

    def _following(
        self, method: str, handler: Callable[[Caller, Any], Awaitable[Any]]
    ) -> Callable[[Caller, Any], Awaitable[Any]]:
        """The handler for paglets that are here; the next host's answer for those that have moved on."""

        async def follow(caller: Caller, params: Any) -> Any:
            if self._residents.get(params.agent_id) is None and (
                forward := await self._forward(params.agent_id)
            ):
                return await self._peers.follow(forward, method, params, timeout=_LONG)
            return await handler(caller, params)

        return follow

    async def _forward(self, agent_id: str) -> Forward | None:
        record = await self._store.read(lambda tx: tx.paglet(agent_id))
        if record is None:
            await self._offers.settle()  # it may be a service that the host is just setting up
        return record.forward if record is not None and record.phase is Phase.DEPARTED else None

    def _place(self, agent_id: str) -> api.Place:
        return api.Place(self._here.address, agent_id)

    # --- looking -----------------------------------------------------------------------------------------

    async def list(self, _caller: Caller, params: api.PagletsListParams) -> Any:
        """A page of this host's paglets."""
        if params.state not in {"active", "inactive", "all", "known"}:
            raise HostError(f"state must be one of: active, inactive, all, known - not {params.state[:50]!r}")
        return await self._views.list(params.state, params.limit, params.cursor, memory=params.memory)

    async def info(self, _caller: Caller, params: api.PagletParams) -> Any:
        """One paglet."""
        resident = self._residents.get(params.agent_id)
        record = resident.record if resident is not None else await self._lifecycle.record(params.agent_id)
        view = self._views.describe(record)
        await self._views.weigh([view])
        return view

    async def state(self, caller: Caller, params: api.PagletParams) -> Any:
        """Its state, as JSON that a child made."""
        active, state = await self._lifecycle.read_state(params.agent_id)
        if caller != PROGRAM and len(state) > MAX_MESSAGE_BYTES:
            raise SerializationError(
                f"the state of paglet {params.agent_id} is {len(state)} bytes as JSON, over the bound of "
                f"{MAX_MESSAGE_BYTES} for a call; GET /agents/{params.agent_id}/state gives more"
            )
        return {"active": active, "state": msgspec.Raw(state)}

    # --- life --------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, params: api.CreateParams) -> Any:
        """A new paglet here, or at the host that is named."""
        if params.target and not self._here.is_me(params.target):
            target = await self._peers.find(params.target)
            onward = msgspec.structs.replace(params, target="")
            return await self._peers.call(
                target.host_id, target.url, api.PAGLETS_CREATE, onward, timeout=_LONG
            )
        if caller.child is not None:
            self._residents.check_room(spare=True)
        resident = await self._births.create(
            class_name=params.class_name,
            state_class_name=params.state_class_name,
            state_json=params.state,
            init=msgspec.json.decode(params.init),
            agent_id=params.agent_id,
            waiting=self._circles.handlers_waiting(caller),
            on_behalf=caller.share_key,
        )
        return self._place(resident.agent_id)

    async def dispatch(self, caller: Caller, params: api.DispatchParams) -> Any:
        """Move it."""
        return await self._departures.dispatch(
            params.agent_id, TransferTicket.from_wire(params.ticket), caller
        )

    async def clone(self, caller: Caller, params: api.CloneParams) -> Any:
        """Copy it."""
        if caller.child is not None:
            self._residents.check_room(spare=True)
        ticket = TransferTicket.from_wire(params.ticket) if params.ticket else None
        return await self._departures.clone(params.agent_id, ticket, caller)

    async def arrival(self, _caller: Caller, params: api.ArrivalParams) -> Any:
        """Wait for a life's first hook."""
        await self._first_hooks.returned_here(params)
        return {}

    async def deactivate(self, caller: Caller, params: api.DeactivateParams) -> Any:
        """Park it."""
        request = DeactivationRequest.from_wire(params.request) if params.request else DeactivationRequest()
        await self._endings.deactivate(params.agent_id, request, caller)
        return self._place(params.agent_id)

    async def activate(self, caller: Caller, params: api.PagletParams) -> Any:
        """Wake it."""
        await self._lifecycle.activate(params.agent_id, self._circles.handlers_waiting(caller))
        return self._place(params.agent_id)

    async def dispose(self, caller: Caller, params: api.PagletParams) -> Any:
        """End it."""
        await self._endings.dispose(params.agent_id, caller)
        return {}

    async def checkpoint(self, caller: Caller, params: api.PagletParams) -> Any:
        """Make its current state the durable one."""
        await self._checkpoints.write(params.agent_id, caller)
        return {}

    async def notify(self, caller: Caller, params: api.NotifyParams) -> Any:
        """Wake those that wait for a message in it: one, in its process or out of it, or all.

        Its own process has looked at home first.
        """
        resident = self._residents.get(params.agent_id)
        if resident is None or resident.child is None:
            raise InvalidAgentError(f"there is no active paglet {params.agent_id} on host {self._here.name}")
        woken = resident.notices.notify(everyone=params.everyone)
        if caller.child is not resident.child and (params.everyone or not woken):
            resident.child.wake(everyone=params.everyone)
        return {}

    # --- messages ----------------------------------------------------------------------------------------

    def send(self, caller: Caller, params: api.MessageParams) -> Pending[bytes]:
        """Deliver a message; who sends is what the door knows, not what the sender wrote."""
        if caller.peer is not None and caller.peer.kind is not PeerKind.MEMBER:
            params = msgspec.structs.replace(params, sender=None, waiting=[])
        if len(params.body) > MAX_MESSAGE_BYTES:
            raise SerializationError(
                f"a message of {len(params.body)} bytes is over the bound of {MAX_MESSAGE_BYTES}; send less at a time"
            )
        if not _is_object(params.body):
            raise SerializationError('the body of a message is a JSON object: {"args": {...}, "arg": ...}')
        return self._delivery.send(params, caller)

    async def multicast(self, _caller: Caller, params: api.MulticastParams) -> Any:
        """Whom a multicast reaches: the active paglets of this host."""
        ids = sorted(each.agent_id for each in self._residents if each.running)
        return {"agent_ids": [agent_id for agent_id in ids if agent_id != params.exclude]}

    def reserved(self) -> dict[str, Callable[[Caller, api.MessageParams], Awaitable[bytes]]]:
        """The message kinds that the runtime itself handles."""
        return {
            "_clone": self._as_message(self._clone_message),
            "_dispatch": self._as_message(self._dispatch_message),
            "_dispose": self._as_message(self._dispose_message),
            "_deactivate": self._as_message(self._deactivate_message),
            "_revert": self._as_message(self._revert_message),
        }

    def _as_message(
        self, handler: Callable[[str, dict[str, Any], Caller], Awaitable[dict[str, Any]]]
    ) -> Callable[[Caller, api.MessageParams], Awaitable[bytes]]:
        async def answer(caller: Caller, params: api.MessageParams) -> bytes:
            arguments = _arguments(params)
            if self._residents.get(params.agent_id) is None and (
                forward := await self._forward(params.agent_id)
            ):
                if params.hops >= _MAX_HOPS:
                    raise RemoteHostError(
                        f"paglet {params.agent_id} was not found after {params.hops} forwards"
                    )
                onward = msgspec.structs.replace(params, hops=params.hops + 1)
                return await self._peers.follow(forward, api.MESSAGE_SEND, onward, timeout=params.timeout)
            answered = await handler(params.agent_id, arguments, caller)
            return b'{"accepted":true}' if params.message_type == ONEWAY else encoded(answered)

        return answer

    async def _clone_message(
        self, agent_id: str, arguments: dict[str, Any], caller: Caller
    ) -> dict[str, Any]:
        target = arguments.get("target")
        ticket = TransferTicket(str(target)) if target else None
        return {"cloned": True, "proxy": await self._departures.clone(agent_id, ticket, caller)}

    async def _dispatch_message(
        self, agent_id: str, arguments: dict[str, Any], caller: Caller
    ) -> dict[str, Any]:
        target = arguments.get("target")
        if not target:
            raise HostError("a _dispatch message names its target: args {'target': host name or URL}")
        ticket = TransferTicket(str(target))
        return {"dispatched": True, "proxy": await self._departures.dispatch(agent_id, ticket, caller)}

    async def _revert_message(
        self, agent_id: str, arguments: dict[str, Any], caller: Caller
    ) -> dict[str, Any]:
        target = arguments.get("target")
        if not target:
            raise HostError("a _revert message names where to: args {'target': host name or URL}")
        ticket = TransferTicket(str(target))
        place = await self._departures.dispatch(agent_id, ticket, caller, kind=MoveKind.RETRACT)
        return {"reverted": True, "proxy": place}

    async def _dispose_message(
        self, agent_id: str, _arguments: dict[str, Any], caller: Caller
    ) -> dict[str, Any]:
        await self._endings.dispose(agent_id, caller)
        return {"disposed": True}

    async def _deactivate_message(
        self, agent_id: str, arguments: dict[str, Any], caller: Caller
    ) -> dict[str, Any]:
        request = DeactivationRequest.from_wire({"source": "message", **arguments})
        await self._endings.deactivate(agent_id, request, caller)
        return {"deactivated": True, "proxy": self._place(agent_id)}


def _arguments(params: api.MessageParams) -> dict[str, Any]:
    """What a message to the runtime says, its single text argument as ``target``."""
    body = from_json(bytes(params.body))
    arguments: Any = body.get("args") or {}
    if not isinstance(arguments, dict):
        raise SerializationError(f"the args of a {params.kind} message are a JSON object")
    named = dict(cast("dict[str, Any]", arguments))
    if isinstance(body.get("arg"), str):
        named.setdefault("target", body["arg"])
    return named


def _is_object(body: msgspec.Raw) -> bool:
    """Whether one JSON value is an object."""
    return bytes(memoryview(body)[:1]) == b"{" or bytes(body).lstrip(_BLANK).startswith(b"{")
