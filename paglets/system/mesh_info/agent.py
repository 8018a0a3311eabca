"""The mesh-info service: the shell around ``gossip``, and what it answers from the landscape."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import HostError, PagletError
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.remote import api
from paglets.remote.host_refs import HostRef
from paglets.remote.proxy import PagletProxy
from paglets.services.resident import ResidentServiceSpec
from paglets.system.mesh_info.contract import (
    LANDSCAPE,
    MESH_INFO,
    MESH_INFO_AGENT_ID,
    SELECT_TARGETS,
    SNAPSHOT,
    SYNC,
    HostFacts,
    Landscape,
    LandscapeEntry,
    SyncReply,
    SyncRequest,
    TargetSelection,
    TargetSelectionRequest,
)
from paglets.system.mesh_info.facts import look
from paglets.system.mesh_info.gossip import Gossip
from paglets.system.mesh_info.landscape import joined
from paglets.system.mesh_info.selection import select_targets

if TYPE_CHECKING:
    from paglets.core.messages import Message
    from paglets.services.contracts import EmptyPayload

logger = logging.getLogger(__name__)

_SYNC_TIMEOUT = 5.0
_RETRY = 5.0
"""Seconds to the next try where not even the own host has answered."""


@dataclass(slots=True)
class MeshInfoState(PagletState):
    """Nothing: what it knows is worth nothing after a while, and is kept in memory only."""


class MeshInfo(Paglet[MeshInfoState]):
    """Keeps the resource landscape of the mesh fresh by gossip, and chooses hosts from it.

    Handlers answer from what is known; ``run()`` gossips beside them. Writes nothing to disk.
    """

    State = MeshInfoState
    RESIDENT_SERVICES: ClassVar[tuple[ResidentServiceSpec, ...]] = (
        ResidentServiceSpec(
            MESH_INFO,
            scope=ServiceScope.MESH,
            lifecycle=ResidentLifecycle.EAGER,
            agent_id=MESH_INFO_AGENT_ID,
        ),
    )

    def __init__(self, state: MeshInfoState | None = None, *, agent_id: str | None = None) -> None:
        super().__init__(state, agent_id=agent_id)
        self._made: Gossip | None = None
        self._due = False  # a round shall not wait for its time; under the lock

    # --- operations --------------------------------------------------------------------------------------

    def handle_message(self, message: Message) -> Any:
        """Answer the operations of ``MESH_INFO``."""
        return MESH_INFO.route(
            message,
            {
                SNAPSHOT: self._snapshot,
                LANDSCAPE: self._landscape,
                SYNC: self._sync,
                SELECT_TARGETS: self._select,
            },
            default=self.not_handled,
        )

    def _snapshot(self, _request: EmptyPayload) -> HostFacts:
        return self._look(self._hosts())

    def _landscape(self, _request: EmptyPayload) -> Landscape:
        return Landscape(self.context.name, self._entries())

    def _sync(self, request: SyncRequest) -> SyncReply:
        with self.locked():
            gossip = self._gossip
            was_idle = not gossip.demand_left()
            reply = gossip.answer(request)
            if was_idle and gossip.demand_left():
                self._round_is_due()
            return reply

    def _select(self, request: TargetSelectionRequest) -> TargetSelection:
        return select_targets(self._entries(), request, own_id=self._gossip.table.own_id)

    # --- gossip ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Gossip, round after round, until the paglet leaves."""
        while True:
            try:
                self._round()
            except PagletError:
                logger.debug("a round of gossip failed", exc_info=True)
            self.wait_state(lambda: self._due, timeout=self._pause())

    def _round(self) -> None:
        with self.locked():
            self._due = False
        hosts = self._hosts()
        own = self._look(hosts)
        peers = [ref.url for ref in hosts if ref.online and ref.url != own.url]
        with self.locked():
            ask = self._gossip.begin_round(own, peers)
        if ask is None:
            return
        url, request = ask
        proxy = self.context.host.proxy_for(url, MESH_INFO_AGENT_ID)
        # Gossip wakes nobody: a service that is parked there has been parked on purpose.
        answer = proxy.send(
            SYNC.to_message(request), activate_if_inactive=False, no_delay=True, timeout=_SYNC_TIMEOUT
        )
        with self.locked():
            self._gossip.take_reply(SYNC.decode_reply(answer))

    def _pause(self) -> float:
        with self.locked():
            return _RETRY if self._made is None else self._made.pause()

    def _round_is_due(self) -> None:
        self._due = True
        self.notify_all_state_changed()

    # --- what is known -----------------------------------------------------------------------------------

    def _entries(self) -> list[LandscapeEntry]:
        """Every host that gossip or the mesh knows, as it is now; somebody is interested in them."""
        hosts = self._hosts()
        own = self._look(hosts)
        with self.locked():
            gossip = self._gossip
            if gossip.demand():
                self._round_is_due()
            version = max(1, gossip.table.versions()[own.host_id])
            heard = [
                LandscapeEntry(each.facts, each.version, gossip.age(each), gossip.is_stale(each))
                for each in gossip.table.all()
                if each.facts.host_id != own.host_id
            ]
        return joined(LandscapeEntry(own, version, 0.0), heard, hosts)

    def _hosts(self) -> list[HostRef]:
        return self.context.available_hosts(online_only=False)

    def _look(self, hosts: list[HostRef]) -> HostFacts:
        name, url = self.context.name, self.context.address
        # Where the mesh has not taken in a new address of this host yet, its counts are missing for a moment.
        here = next((ref for ref in hosts if ref.url == url), None) or HostRef(
            name, url, "", online=True, last_seen=0.0, active_count=0, inactive_count=0
        )
        return look(self._gossip.table.own_id, here, self.work_dir(create=False))

    @property
    def _gossip(self) -> Gossip:
        with self.locked():
            if self._made is None:
                self._made = Gossip(_own_host_id(), clock=time.monotonic, random=random.Random())  # noqa: S311 - whom to ask is no secret
            return self._made


def _own_host_id() -> str:
    client = PagletProxy.process_client
    if client is None:
        raise HostError("mesh-info works in the process that a host made for it only")
    status = client.call("", api.HOST_STATUS, api.NoParams(), timeout=_SYNC_TIMEOUT)
    return str(msgspec.json.decode(status)["host_id"])
