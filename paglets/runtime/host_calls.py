"""What a program asks of its host that becomes an operation: the same table as behind the host's doors."""

from __future__ import annotations

import contextlib
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from paglets.core.agent import Paglet
from paglets.core.errors import HostError, InvalidAgentError
from paglets.remote import api
from paglets.remote.proxy import PagletProxy
from paglets.runtime.early_client import EarlyClient
from paglets.runtime.memory_files import Payload, PayloadWriter
from paglets.serialization.codec import dataclass_to_wire, qualified_name
from paglets.serialization.state_pickle import dump_state
from paglets.serialization.values import to_json

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from paglets.runtime.host_life import HostLife

T = TypeVar("T")


class HostCalls:
    """Operations of one embedded host, for threads other than its loop's, which get ``HostError``."""

    def __init__(self, life: HostLife) -> None:
        self._life = life

    def call(self, method: str, params: msgspec.Struct) -> bytes:
        """Carry out an operation here; its result as JSON."""
        return self._run(self._life.core.doors.operations.call_here(method, params))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        life = self._life
        try:
            return life.thread.run(work)
        finally:
            if life.listeners.can_catch_up:
                with contextlib.suppress(HostError):  # the host has stopped meanwhile
                    life.thread.run(life.listeners.caught_up())

    def placed(self, method: str, params: msgspec.Struct) -> PagletProxy:
        """Carry out an operation that puts a paglet somewhere; its proxy there."""
        place = msgspec.json.decode(self.call(method, params), type=api.Place)
        return PagletProxy(place.host_url, place.agent_id, self._life.client)

    def proxy(self, agent_id: str) -> PagletProxy:
        """The proxy of a paglet of this host; nobody is asked. Before the host has started, it has no address yet."""
        if not self._life.last_address:
            return PagletProxy("", agent_id, EarlyClient(self._life))
        return PagletProxy(self._life.address, agent_id, self._life.client)

    def create(self, agent_cls: type[Paglet[Any]], state: Any, init: Any, agent_id: str) -> PagletProxy:
        """Create a paglet here, from a state that need not go through JSON."""
        core = self._life.core
        class_name, state_name = _names(agent_cls, state)
        plain_init = msgspec.json.decode(to_json(init))
        payload = None if state is None else _payload(state)
        work = core.population.births.create(
            class_name=class_name,
            state_class_name=state_name,
            state=payload,
            init=plain_init,
            agent_id=agent_id,
        )
        try:
            return self.proxy(self._run(work).agent_id)
        finally:
            if payload is not None:
                payload.close()

    def create_remote(
        self, target: str, agent_cls: type[Paglet[Any]], state: Any, init: Any, agent_id: str
    ) -> PagletProxy:
        """Create a paglet on another host of the mesh."""
        class_name, state_name = _names(agent_cls, state)
        params = api.CreateParams(
            class_name=class_name,
            state_class_name=state_name,
            state=api.NULL if state is None else msgspec.Raw(to_json(dataclass_to_wire(state))),
            init=msgspec.Raw(to_json(init)),
            agent_id=agent_id,
            target=target,
        )
        return self.placed(api.PAGLETS_CREATE, params)


def _names(agent_cls: Any, state: Any) -> tuple[str, str]:
    """The class's name and the state's; ``HostError`` for what is no paglet class with a dataclass state."""
    if not (isinstance(agent_cls, type) and issubclass(agent_cls, Paglet)):
        raise InvalidAgentError(f"{agent_cls!r} is no subclass of Paglet")
    paglet_cls = cast("type[Paglet[Any]]", agent_cls)
    state_cls = paglet_cls.state_class()
    if state is not None and not isinstance(state, state_cls):
        raise HostError(
            f"a state of {paglet_cls.__name__} is a {state_cls.__name__}, not a {type(state).__name__}"
        )
    return qualified_name(paglet_cls), "" if state is None else qualified_name(cast("type[Any]", type(state)))


def _payload(state: Any) -> Payload:
    with PayloadWriter() as writer:
        dump_state(dataclass_to_wire(state), cast("IO[bytes]", writer))  # a pickler does nothing but write
        return writer.finish()
