"""What an operator may do about copies: adopt one that is in doubt or in quarantine, list them, drop them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from paglets.core.errors import HostError, LifecycleError
from paglets.persistence.journal import adoption
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import MoveKind, Phase
from paglets.remote import adoption_api as api
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.transfers.events import VerdictReceived
from paglets.runtime.undivided import undivided

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.adoption_records import QuarantinedCopy, Whereabouts
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store
    from paglets.runtime.adoption.duties import Duties
    from paglets.runtime.events import Events
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.residents import Residents
    from paglets.runtime.transfers.asking import Asker
    from paglets.runtime.transfers.move import Move
    from paglets.runtime.transfers.mover import Mover
    from paglets.runtime.work_places import WorkPlaces

_RECOVERED = {"reason": "recovered"}
_PAGE = 1000


class Adoption:
    """Takes copies back whose other one is lost. The only thing that can double a paglet, until the copies meet."""

    def __init__(
        self,
        *,
        store: Store,
        residents: Residents,
        lifecycle: Lifecycle,
        mover: Mover,
        asker: Asker,
        duties: Duties,
        work_places: WorkPlaces,
        events: Events,
        here: Here,
        gate: Gate,
        parked: Callable[[str], None],
    ) -> None:
        self._store = store
        self._residents = residents
        self._lifecycle = lifecycle
        self._mover = mover
        self._asker = asker
        self._duties = duties
        self._work_places = work_places
        self._events = events
        self._here = here
        self._gate = gate
        self._parked = parked
        self.undivided = lifecycle.undivided  # an adoption may begin a life

    # --- what is in doubt

    async def adopt(self, transfer: str, *, fence: bool) -> api.Adopted:
        """Take the paglet of a transfer back that is in doubt; its target is asked once more before.

        ``HostError``, with nothing changed, when it is not in doubt, or ``fence`` does not say that the other copy
        is lost.
        """
        self._gate.check_held()
        move = await self._find(transfer)
        where = move.outgoing.target_name or move.outgoing.target_id
        if not fence:
            raise HostError(
                f"if paglet {move.state.agent_id} arrived at {where}, adopting it makes two of it, until the hosts "
                f"meet; --fence says that you know that {where} is lost, or that the copy there may go into quarantine"
            )
        heard = await self._asker.ask(move.outgoing, move.state.agent_id)
        if isinstance(heard.event, VerdictReceived):
            move.tell(heard.event)
            raise HostError(
                f"{where} has just said that transfer {move.outgoing.transfer_id} is settled "
                f"({heard.event.outcome.value}); there is nothing to adopt"
            )
        adopted = await move.adopt()
        return _shown(adopted.started.record, str(move.outgoing.transfer_id))

    async def _find(self, transfer: str) -> Move:
        found = [move for move in self._mover.find(transfer) if not move.state.over]
        if not found:
            raise HostError(await self._why_not(transfer))
        if len(found) > 1:
            names = ", ".join(str(move.outgoing.transfer_id) for move in found)
            raise HostError(f"{transfer!r} is the beginning of more than one: {names}")
        [move] = found
        if move.outgoing.kind is MoveKind.CLONE:
            raise HostError(
                f"transfer {move.outgoing.transfer_id} is of a clone that may never have existed; its original goes "
                "on, so make another clone instead"
            )
        if not move.state.in_doubt:
            raise HostError(
                f"transfer {move.outgoing.transfer_id} of paglet {move.state.agent_id} is under way, not in doubt; "
                "wait for its ticket's time to end"
            )
        return move

    async def _why_not(self, transfer: str) -> str:
        if any(transfer in (each["transfer_id"], each["agent_id"]) for each in self._duties.abandoned()):
            return f"{transfer} was adopted before; its target is still asked what became of the transfer"
        try:
            record = await self._store.read(lambda tx: tx.paglet(transfer))
        except ValueError:
            record = None
        if record is None:
            return f"no transfer {transfer!r} is in doubt on host {self._here.name}; `paglets transfers` lists them"
        where = f"at {record.forward.name or record.forward.host_id}" if record.forward else "here"
        return f"paglet {transfer} is not in doubt: it is {record.phase.value} {where}"

    # --- what is in quarantine

    async def copies(self, limit: int, cursor: str) -> dict[str, Any]:
        """A page of the copies in quarantine, and which hosts are still to be told of an adoption."""
        limit = min(limit, _PAGE)
        found = [each for each in await self._store.read(lambda tx: tx.copies()) if _name(each) > cursor]
        found.sort(key=_name)
        page = found[:limit]
        shown: dict[str, Any] = {
            "copies": [self._describe(each) for each in page],
            "notices": self._duties.notices(),
        }
        if len(found) > limit:
            shown["cursor"] = _name(page[-1])
        return shown

    def _describe(self, copy: QuarantinedCopy) -> dict[str, Any]:
        record, higher = copy.record, copy.higher
        lineage = record.incarnation.lineage
        return {
            "agent_id": record.agent_id,
            "class_name": record.class_name,
            "host_name": self._here.name,
            "host_url": self._here.address,
            "status": "quarantined",
            "was": record.phase.value,
            "life": str(record.incarnation),
            "lineage": lineage.number,
            "adopter": lineage.adopter,
            "epoch": record.incarnation.epoch,
            "higher_life": str(higher.incarnation),
            "higher_host": self._where(higher),
            "state_bytes": record.state.size if record.state else 0,
            "memory_bytes": None,
            "created_at": record.created_at,
            "quarantined_at": copy.since,
        }

    def _where(self, there: Whereabouts) -> str:
        """What people call the host that a life was heard to be at."""
        here = there.host_id == self._here.host_id
        return self._here.name if here else there.name or there.host_id

    @undivided
    async def adopt_copy(self, copy: str, life: str, *, fence: bool) -> api.Adopted:
        """Let a copy count again instead of the one that it gave way to. ``HostError`` as for ``adopt``."""
        self._gate.check_held()
        kept = await self._copy(copy, life)
        record, higher = kept.record, kept.higher
        if not fence:
            raise HostError(
                f"paglet {record.agent_id} lives in life {higher.incarnation} at {self._where(higher)}, for "
                "all that is known here; adopting this copy makes two of it, until the hosts meet, and then the other "
                "one goes into quarantine; --fence says that this is meant"
            )
        agent_id = record.agent_id
        self._residents.check_room()
        async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
            try:
                adopted = await self._store.commit(
                    lambda tx: adoption.adopt_copy(
                        tx, self._here.host_id, agent_id, record.incarnation, event=_RECOVERED, at=time.time()
                    )
                )
            except JournalConflict as conflict:
                raise LifecycleError(str(conflict)) from None
            if adopted.gave_way is not None and adopted.gave_way.notice is not None:
                self._duties.tell(adopted.gave_way.notice)
            now = adopted.started.record
            await self._work_places.hand_on(agent_id, record.incarnation, now.incarnation)
            self._events.emit(
                "adopted",
                agent_id=agent_id,
                class_name=record.class_name,
                data={"life": str(now.incarnation), "from": "quarantine"},
            )
            if now.phase is Phase.ACTIVE:
                await self._lifecycle.start_life(adopted.started)
            else:
                self._parked(agent_id)
        return _shown(now)

    @undivided
    async def drop_copy(self, copy: str, life: str) -> dict[str, Any]:
        """Drop a copy for good. ``HostError``: there is none, or more than one that could be meant."""
        kept = await self._copy(copy, life)
        record = kept.record
        try:
            await self._store.commit(
                lambda tx: adoption.discard_copy(tx, record.agent_id, record.incarnation)
            )
        except JournalConflict as conflict:
            raise LifecycleError(str(conflict)) from None
        if record.files:
            self._work_places.files.tidy()
        await self._work_places.clear(record.agent_id, record.incarnation)
        self._events.emit(
            "dispose",
            agent_id=record.agent_id,
            class_name=record.class_name,
            data={"life": str(record.incarnation), "from": "quarantine"},
        )
        return {"agent_id": record.agent_id, "life": str(record.incarnation)}

    async def _copy(self, copy: str, life: str) -> QuarantinedCopy:
        kept = await self._store.read(lambda tx: tx.copies())
        found = [each for each in kept if each.record.agent_id == copy]
        found = found or [each for each in kept if copy and each.record.agent_id.startswith(copy)]
        lives = [each for each in found if life in ("", str(each.record.incarnation))]
        if len(lives) == 1:
            return lives[0]
        if not found:
            raise HostError(f"no copy of {copy!r} is in quarantine on host {self._here.name}")
        known = ", ".join(f"{each.record.agent_id} life {each.record.incarnation}" for each in found)
        raise HostError(f"which copy of {copy!r} is meant? In quarantine are: {known}; --life says which")


def _name(copy: QuarantinedCopy) -> str:
    return f"{copy.record.agent_id} {copy.record.incarnation}"


def _shown(record: PagletRecord, transfer_id: str = "") -> api.Adopted:
    lineage = record.incarnation.lineage
    return api.Adopted(
        agent_id=record.agent_id,
        status="active" if record.phase is Phase.ACTIVE else "inactive",
        lineage=lineage.number,
        adopter=lineage.adopter,
        epoch=record.incarnation.epoch,
        transfer_id=transfer_id,
    )
