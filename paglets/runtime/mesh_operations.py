"""Operations between hosts: greetings, heartbeats, verdicts, revocations."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import ForbiddenError, HostError
from paglets.persistence.journal.peers import (
    Standing,
    note_counter,
    note_floor,
    note_own_store,
    note_peer_store,
)
from paglets.persistence.records import PeerRecord
from paglets.remote import api
from paglets.remote.envelopes.header import check_incarnation
from paglets.remote.members import Gossip, ProbeParams
from paglets.remote.trust.errors import MalformedFrameError
from paglets.remote.trust.standings import is_own_standing, sign_standing
from paglets.runtime.operations import MEMBERS, Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.store import Store
    from paglets.remote.mesh_service import MeshService
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.link import Link
    from paglets.runtime.caller import Caller
    from paglets.runtime.events import Events
    from paglets.runtime.here import Here
    from paglets.runtime.revocations import Revocations
    from paglets.runtime.status import Status
    from paglets.runtime.transfers.arrivals import Arrivals
    from paglets.runtime.transfers.open_ids import OpenTransfers
    from paglets.runtime.transfers.still_open import StillOpen

logger = logging.getLogger(__name__)

_EXCHANGE_TIMEOUT = 10.0


class Greetings:
    """What hosts tell each other first on every link, and what this host makes of it."""

    def __init__(
        self,
        *,
        store: Store,
        mesh: MeshService,
        here: Here,
        status: Status,
        open_transfers: OpenTransfers,
        revocations: Revocations,
        events: Events,
        version: str,
        key: HostKey,
        on_met: Callable[[str], None],
    ) -> None:
        self._store = store
        self._key = key
        self._mesh = mesh
        self._here = here
        self._status = status
        self._open_transfers = open_transfers
        self._revocations = revocations
        self._events = events
        self._version = version
        self._seen: dict[str, PeerRecord] = {}
        self._noted: dict[str, tuple[int, str]] = {}
        self._on_met = on_met
        self.on_floor: Callable[[str, int], None] = lambda _host_id, _floor: None
        """Hears below which counter a host's transfers to this one are settled; set once, when all parts are there."""

    def own(self, host_id: str) -> api.HelloParams:
        """This host's greeting to another."""
        seen = self._seen.get(host_id)
        store_id, commit = self._store.store_id, self._store.commit_number
        return api.HelloParams(
            host_id=self._here.host_id,
            name=self._here.name,
            url=self._here.address,
            addresses=list(self._status.addresses),
            code_version=self._here.code_version,
            product_version=self._version,
            store_id=store_id,
            commit=commit,
            standing=sign_standing(self._key, self._here.mesh_id, store_id, commit),
            floor=self._open_transfers.floor(host_id),
            counter=self._open_transfers.next_counter,
            revocations=self._revocations.digest,
            seen_store_id=seen.store_id if seen else "",
            seen_commit=seen.commit if seen else 0,
            seen_standing=seen.standing if seen else "",
        )

    async def recall(self) -> None:
        """Read what is known of the peers' stores, before the doors open."""
        for record in await self._store.read(lambda tx: tx.peers()):
            if record.host_id != self._here.host_id:
                self._seen[record.host_id] = record

    def hear_anew(self) -> None:
        """Take note of the next greeting of each host, even if it holds no news."""
        self._noted.clear()

    async def greet(self, link: Link) -> None:
        """Run first on each new link that this host opens to another."""
        raw = await link.call(api.HOST_HELLO, self.own(link.peer.host_id), timeout=_EXCHANGE_TIMEOUT)
        hello = msgspec.json.decode(raw, type=api.HelloParams)
        await self.take(link.peer.host_id, hello)
        if hello.revocations != self._revocations.digest:
            await self._revocations.exchange(link)

    async def take(self, peer_id: str, hello: api.HelloParams) -> None:
        """Take in a peer's greeting; ``peer_id`` is the key of the connection. ``HostError`` when they differ."""
        if hello.host_id != peer_id:
            raise self._alarm(peer_id, "a greeting names another host than the key of its connection")
        if hello.host_id == self._here.host_id:
            return
        await self._note(hello)
        self.on_floor(hello.host_id, hello.floor)
        self._mesh.peer_hello(hello)
        self._on_met(hello.host_id)

    async def _note(self, hello: api.HelloParams) -> None:
        """Write down what must not be forgotten; an idle mesh writes nothing."""
        peer, noted = hello.host_id, (hello.floor, hello.store_id)
        own = PeerRecord(self._here.host_id, hello.seen_store_id, hello.seen_commit)
        behind = self._is_behind(hello)
        shown = PeerRecord(peer, hello.store_id, hello.commit, hello.standing)
        known = self._seen.get(peer)
        news = known is None or known.store_id != hello.store_id or hello.commit < known.commit
        if not behind and not news and self._noted.get(peer) == noted:
            self._seen[peer] = shown  # further than before; that alone is not worth a write
            return

        def rule(tx: Any) -> tuple[Standing, Standing]:
            note_floor(tx, peer, hello.floor)
            note_counter(tx, self._here.host_id, peer, hello.counter)
            mine = theirs = Standing.CURRENT
            if behind:
                mine = note_own_store(
                    tx, self._here.host_id, self._store.store_id, self._store.commit_number, own
                )
            for seen in (known, shown):  # what was remembered in memory only, then what is shown now
                if seen is not None:
                    theirs = note_peer_store(tx, peer, seen.store_id, seen.commit, seen.standing)
            return mine, theirs

        mine, theirs = await self._store.commit(rule)
        self._noted[peer] = noted
        if theirs is Standing.CURRENT:
            self._seen[peer] = shown
        else:
            self._events.emit(
                "security",
                data={"what": "store", "peer": peer, "standing": theirs.value},
                error=f"the store of host {hello.name} is {theirs.value}: it was seen further than it is now",
            )
        if mine is not Standing.CURRENT:
            self._status.restored = f"host {hello.name} has seen it further than it is"
            logger.error("this host's store was restored from a copy", extra={"peer": hello.name})

    def _is_behind(self, hello: api.HelloParams) -> bool:
        """Whether this store was further once. A peer's word is not enough: it has to show this host's own."""
        seen = (hello.seen_store_id, hello.seen_commit)
        if not seen[0] or (seen[0] == self._store.store_id and seen[1] <= self._store.commit_number):
            return False
        if is_own_standing(self._key, self._here.mesh_id, *seen, hello.seen_standing):
            return True
        self._alarm(hello.host_id, "a greeting speaks of a store of this host that this host never had")
        return False

    def _alarm(self, peer_id: str, reason: str) -> HostError:
        logger.warning("a greeting was refused", extra={"peer": peer_id, "reason": reason})
        self._events.emit("security", data={"what": "greeting", "peer": peer_id}, error=reason)
        return HostError(reason)


class MeshOperations:
    """The operations that only hosts of the mesh call."""

    def __init__(
        self,
        *,
        greetings: Greetings,
        mesh: MeshService,
        arrivals: Arrivals,
        revocations: Revocations,
        events: Events,
        still_open: StillOpen,
    ) -> None:
        self._greetings = greetings
        self._still_open = still_open
        self._events = events
        self._mesh = mesh
        self._arrivals = arrivals
        self._revocations = revocations

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        table: dict[str, tuple[type[msgspec.Struct], Any]] = {
            api.HOST_HELLO: (api.HelloParams, self.hello),
            api.VERDICT_ASK: (api.VerdictAskParams, self.verdict),
            api.TRANSFERS_OPEN: (api.OpenTransfersParams, self.open_transfers),
            api.MESH_PING: (Gossip, self.ping),
            api.MESH_PROBE: (ProbeParams, self.probe),
            api.MESH_GOODBYE: (api.GoodbyeParams, self.goodbye),
            api.REVOCATIONS_EXCHANGE: (api.RevocationsParams, self.revocations),
        }
        return {
            method: Entry(params, handler, MEMBERS, paglets=False)
            for method, (params, handler) in table.items()
        }

    async def hello(self, caller: Caller, params: api.HelloParams) -> Any:
        """The greeting of another host, answered with this one's."""
        peer_id = _peer_id(caller)
        await self._greetings.take(peer_id, params)
        return self._greetings.own(peer_id)

    async def verdict(self, caller: Caller, params: api.VerdictAskParams) -> Any:
        """A source asks about one of its transfers."""
        if caller.peer is None:
            raise HostError("only hosts ask for verdicts")
        if caller.peer.host_id != params.source:
            reason = "a host asked for a verdict on another's transfer"
            self._events.emit("security", data={"what": "verdict", "peer": caller.peer.host_id}, error=reason)
            raise ForbiddenError(f"{reason}; it gets those on its own only")
        try:
            check_incarnation(params.incarnation)
        except MalformedFrameError as error:
            raise HostError(str(error)) from None
        return await self._arrivals.answer_query(caller.peer, params)

    async def open_transfers(self, caller: Caller, params: api.OpenTransfersParams) -> Any:
        """A host whose store was restored asks what may have come to it in the life that was lost."""
        return await self._still_open.page(_peer_id(caller), params.after)

    async def ping(self, caller: Caller, params: Gossip) -> Any:
        """A heartbeat."""
        return await self._mesh.on_ping(_peer_id(caller), params)

    async def probe(self, caller: Caller, params: ProbeParams) -> Any:
        """A heartbeat on behalf of another."""
        return await self._mesh.on_probe(_peer_id(caller), params)

    async def goodbye(self, caller: Caller, params: api.GoodbyeParams) -> Any:
        """A host leaves."""
        await self._mesh.on_goodbye(_peer_id(caller), params)
        return {}

    async def revocations(self, _caller: Caller, params: api.RevocationsParams) -> Any:
        """The union of two revocation sets."""
        await self._revocations.merge(params)
        return self._revocations.page(params.page)


def _peer_id(caller: Caller) -> str:
    if caller.peer is None or not caller.peer.host_id:
        raise HostError("only hosts of the mesh call this")
    return caller.peer.host_id
