"""The paglet: a small object with an identity and a state that can move."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, cast

from paglets.core.calling import bound
from paglets.core.context import PagletContext
from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import HostError, NotHandledError
from paglets.core.policies import CheckpointPolicy, RestartPolicy
from paglets.core.resources import ResourceRegistry
from paglets.core.runtime_values import ACTIVE, INACTIVE, ServiceScope
from paglets.core.state_lock import StateLock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

    from paglets.artifacts.file_refs import PagletFileRef
    from paglets.artifacts.refs import ArtifactRef
    from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent, PersistencyEvent
    from paglets.core.messages import Message
    from paglets.core.references import PagletProxyRef
    from paglets.core.reply_sets import ReplySet
    from paglets.persistence.storage import ManagedStorage
    from paglets.remote.proxy import PagletProxy
    from paglets.remote.transfer import TransferTicket
    from paglets.services.contracts import ServiceContract
    from paglets.services.handles import ServiceHandle
    from paglets.services.operations import ServiceOperation
    from paglets.services.records import ServiceRecord
    from paglets.services.resident import ResidentServiceSpec, ServiceLease

__all__ = [
    "ACTIVE", "INACTIVE", "NOT_HANDLED", "CheckpointPolicy", "Paglet", "PagletContext", "PagletState",
    "RestartPolicy", "state_locked",
]  # fmt: skip

StateT = TypeVar("StateT")
PagletT = TypeVar("PagletT", bound="Paglet[Any]")
P = ParamSpec("P")
R = TypeVar("R")


class PagletState:
    """Marks a dataclass as the state of a paglet: what moves with it. Any dataclass will do."""


class _NotHandled:
    __slots__ = ()

    def __repr__(self) -> str:
        return "NOT_HANDLED"


NOT_HANDLED = _NotHandled()
"""What ``handle_message`` may return for a message that it has no use for."""


def state_locked(method: Callable[Concatenate[PagletT, P], R]) -> Callable[Concatenate[PagletT, P], R]:
    """Run a method of a paglet under the paglet's lock."""

    @functools.wraps(method)
    def under_lock(self: PagletT, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.locked():
            return method(self, *args, **kwargs)

    return under_lock


class Paglet(Generic[StateT]):
    """Base of every paglet. Subclasses name their state and override what they need.

    Handlers run one at a time; ``run()`` runs beside them on a thread of its own, so what both touch belongs
    under ``locked()``. Only ``state`` moves: everything else is made anew at each arrival.
    """

    State: ClassVar[type[Any]]
    """The dataclass of the state."""
    ACTIVE: ClassVar[int] = ACTIVE
    INACTIVE: ClassVar[int] = INACTIVE
    MAILBOX_WORKERS: ClassVar[int] = 4
    """Accepted for old programs; handlers are serial whatever it says."""
    CHECKPOINT: ClassVar[CheckpointPolicy] = CheckpointPolicy()
    RESTART: ClassVar[RestartPolicy] = RestartPolicy()
    RESIDENT_SERVICES: ClassVar[tuple[ResidentServiceSpec, ...]] = ()
    """The services that the class offers by itself whenever it is active."""

    state: StateT

    def __init__(self, state: StateT | None = None, *, agent_id: str | None = None) -> None:
        self.agent_id = agent_id or os.urandom(16).hex()
        self.resources = ResourceRegistry()
        # Doubled underscores: subclasses are written by others, who may well have a _lock of their own.
        self.__lock = StateLock()
        self.__context: PagletContext | None = None
        self.state = self._first_state() if state is None else self._own_state(state)

    @classmethod
    def state_class(cls) -> type[StateT]:
        """The dataclass that the class names as its ``State``; ``HostError`` when it names none."""
        state = getattr(cls, "State", None)
        if state is None:
            raise HostError(f"{cls.__qualname__} has no State; name the dataclass of its state there")
        if not isinstance(state, type) or not is_dataclass(state):
            raise HostError(f"{cls.__qualname__}.State must be a dataclass, not {state!r}")
        return cast("type[StateT]", state)

    @property
    def context(self) -> PagletContext:
        """The paglet's view of its host; ``HostError`` when it is on none."""
        if self.__context is None:
            raise HostError(f"paglet {self.agent_id} is on no host, so it has no context")
        return self.__context

    # --- state and lock ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Hold the paglet's lock; it is re-entrant. A move cannot be asked for inside."""
        with self.__lock:
            yield

    @contextlib.contextmanager
    def locked_state(self) -> Generator[StateT]:
        """Hold the paglet's lock and work with its state."""
        with self.__lock:
            yield self.state

    def wait_state(
        self, predicate: Callable[[], object] | Callable[[StateT], object], timeout: float | None = None
    ) -> bool:
        """Wait until the predicate holds, looking at each notification, at most ``timeout`` seconds.

        The predicate is called under the lock, with the state when it needs an argument. The lock is free
        while this waits. ``LifecycleError`` when the paglet has left this process meanwhile.
        """
        return self.__lock.wait_for(bound(predicate, self.state), timeout)

    def notify_state_changed(self) -> None:
        """Wake one that waits in ``wait_state``."""
        self.__lock.notify()

    def notify_all_state_changed(self) -> None:
        """Wake all that wait in ``wait_state``."""
        self.__lock.notify_all()

    def checkpoint(self) -> None:
        """Make the current state the durable one, now; returns when it is."""
        self.context.checkpoint(self.agent_id)

    # --- moving ------------------------------------------------------------------------------------------

    def dispatch(self, target: str | TransferTicket) -> PagletProxy:
        """Move to another host, now; returns the proxy at the new place.

        The state as it is at the call moves; what is done to it afterwards is lost. ``TransferError`` means
        that the paglet did not move and goes on here.
        """
        return self.context.dispatch(self.agent_id, target)

    def dispatch_to(self, name_or_url: str) -> PagletProxy:
        """Move to a host that the mesh knows; ``HostError`` when it knows none of that name."""
        return self.context.dispatch_to(self.agent_id, name_or_url)

    def clone(self, target: str | TransferTicket | None = None) -> PagletProxy:
        """Make a second paglet with the same state and an id of its own, here or on another host."""
        return self.context.clone(self.agent_id, target)

    def clone_to(self, name_or_url: str) -> PagletProxy:
        """Clone onto a host that the mesh knows; ``HostError`` when it knows none of that name."""
        return self.context.clone_to(self.agent_id, name_or_url)

    def deactivate(
        self,
        *,
        reason: str = "deactivate",
        policy: DeactivationPolicy | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> PagletProxy:
        """Be parked on disk, now; ``policy`` says what shall wake it."""
        request = DeactivationRequest(reason, source="self", policy=policy, metadata=dict(metadata or {}))
        return self.context.deactivate(self.agent_id, request)

    # --- messages ----------------------------------------------------------------------------------------

    def send(self, target_agent_id: str, message: Message, *, host_url: str | None = None) -> Any:
        """Send a message to a paglet here, or on that host, wait for its reply and return it."""
        return self.context.send(target_agent_id, message, host_url=host_url)

    def multicast(
        self,
        kind_or_message: str | Message,
        args: Mapping[str, Any] | None = None,
        *,
        include_self: bool = True,
    ) -> ReplySet:
        """Send kind and arguments to every active paglet on this host; the replies, as they come.

        Of a message its kind and ``args`` are taken; ``ValueError`` when it has a single ``arg``.
        """
        if isinstance(kind_or_message, str):
            kind = kind_or_message
        else:
            kind = kind_or_message.kind
            if kind_or_message.arg is not None:
                raise ValueError("a multicast carries named arguments only; put the value of arg into args")
            args = {**kind_or_message.args, **(args or {})}
        return self.context.multicast(kind, args, exclude=None if include_self else self.agent_id)

    def wait_message(self, timeout: float | None = None) -> bool:
        """Wait until somebody calls ``notify_message`` on this paglet; whether that came in time.

        ``LifecycleError`` when the paglet has left this process meanwhile.
        """
        return self.context.host.wait_message(self.agent_id, timeout)

    def notify_message(self) -> None:
        """Wake one that waits in ``wait_message``."""
        self.context.host.notify_message(self.agent_id)

    def notify_all_messages(self) -> None:
        """Wake all that wait in ``wait_message``."""
        self.context.host.notify_all_messages(self.agent_id)

    @staticmethod
    def not_handled() -> _NotHandled:
        """What to return from ``handle_message`` for a message of no use."""
        return NOT_HANDLED

    # --- services ----------------------------------------------------------------------------------------

    def advertise_service(
        self,
        name: str,
        *,
        capabilities: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float | None = None,
    ) -> ServiceRecord:
        """Offer a service, on this host or to the whole mesh; see ``PagletContext.advertise_service``."""
        return self.context.advertise_service(
            name, capabilities=capabilities, metadata=metadata, scope=scope, ttl=ttl, agent_id=self.agent_id
        )

    def unadvertise_service(self, name: str) -> list[ServiceRecord]:
        """Take an own offer back; what was taken back."""
        return self.context.unadvertise_service(name, agent_id=self.agent_id)

    def lookup_service(
        self, name: str, *, capability: str | None = None, scope: ServiceScope = ServiceScope.LOCAL
    ) -> PagletProxyRef | None:
        """Who offers a service; None when nobody does."""
        return self.context.lookup_service(name, capability=capability, scope=scope)

    def lookup_services(
        self,
        name: str | None = None,
        *,
        capability: str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceRecord]:
        """All offers of that name (None: any), those of this host first."""
        return self.context.lookup_services(name, capability=capability, scope=scope)

    def advertise_contract(
        self,
        contract: ServiceContract,
        *,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> ServiceRecord:
        """Offer a contract, on this host or to the whole mesh."""
        return self.context.advertise_contract(
            contract, scope=scope, ttl=ttl, metadata=metadata, agent_id=self.agent_id
        )

    def lookup_contract(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> ServiceHandle | None:
        """Somebody who offers the contract; None when nobody does."""
        return self.context.lookup_contract(contract, operation=operation, scope=scope)

    def lookup_contracts(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceHandle]:
        """Everybody who offers the contract, those of this host first."""
        return self.context.lookup_contracts(contract, operation=operation, scope=scope)

    def require_contract(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> ServiceHandle:
        """Somebody who offers the contract; ``ServiceNotFoundError`` when nobody does."""
        return self.context.require_contract(contract, operation=operation, scope=scope)

    def lease_contract(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float = 60.0,
    ) -> ServiceLease:
        """Find a provider, start it if need be, and keep it up; see ``PagletContext.lease_contract``."""
        return self.context.lease_contract(contract, operation=operation, scope=scope, ttl=ttl)

    # --- what it has on this host ------------------------------------------------------------------------

    def work_dir(self, *, create: bool = True) -> Path:
        """The paglet's own directory on this host, made when it is not there; cleared when it leaves."""
        return self.context.work_dir(create=create, agent_id=self.agent_id)

    def persistent_storage(self, *, quota_bytes: int | None = None) -> ManagedStorage:
        """Files of the paglet's class on this host; they stay when the paglet leaves."""
        return self.context.persistent_storage(quota_bytes=quota_bytes, agent_id=self.agent_id)

    def register_file(
        self, path: str | os.PathLike[str], *, name: str | None = None, mode: str = "copy"
    ) -> PagletFileRef:
        """Have a file travel with the paglet; ``mode="move"`` deletes it here once it is elsewhere."""
        return self.context.register_file(path, name=name, mode=mode, agent_id=self.agent_id)

    def registered_files(self) -> list[PagletFileRef]:
        """The files that travel with the paglet, as they are now."""
        return self.context.registered_files()

    def unregister_file(self, name_or_ref: str | PagletFileRef) -> bool:
        """Let a file stay behind; whether it was registered."""
        return self.context.unregister_file(name_or_ref)

    def file_path(self, name_or_ref: str | PagletFileRef) -> Path:
        """Where a registered file is on this host."""
        return self.context.file_path(name_or_ref)

    def upload_artifact(
        self,
        path: str | os.PathLike[str],
        *,
        host_url: str | None = None,
        owner_agent_id: str | None = None,
        name: str | None = None,
        compression: str = "",
        expires_at: float = 0.0,
    ) -> ArtifactRef:
        """Store a copy of a file as an artifact, here or on another host."""
        return self.context.upload_artifact(
            path,
            host_url=host_url,
            owner_agent_id=owner_agent_id,
            name=name,
            compression=compression,
            expires_at=expires_at,
        )

    def download_artifact(
        self,
        artifact: ArtifactRef | Mapping[str, Any],
        target: str | os.PathLike[str],
        *,
        move: bool = False,
    ) -> ArtifactRef:
        """Write an artifact to a file, wherever it is; ``move``: then delete it there."""
        return self.context.download_artifact(artifact, target, move=move)

    def delete_artifact(self, artifact: ArtifactRef | Mapping[str, Any]) -> bool:
        """Delete an artifact, wherever it is; whether it was there."""
        return self.context.delete_artifact(artifact)

    # --- hooks, all optional -----------------------------------------------------------------------------

    def on_creation(self, event: CreationEvent) -> None:
        """Called once, after the paglet was created."""

    def on_dispatching(self, event: MobilityEvent) -> None:
        """Called before a dispatch, while everything is still open; raising cancels it."""

    def on_arrival(self, event: MobilityEvent) -> None:
        """Called at the new host, until it has returned once."""

    def on_reverting(self, event: MobilityEvent) -> None:
        """Called instead of ``on_dispatching`` when somebody retracts the paglet."""

    def on_cloning(self, event: CloneEvent) -> None:
        """Called in the original, before the clone is made."""

    def on_clone(self, event: CloneEvent) -> None:
        """Called in the clone, with its new id."""

    def on_cloned(self, event: CloneEvent) -> None:
        """Called in the original, after the clone was made."""

    def on_deactivating(self, event: PersistencyEvent) -> None:
        """Called before the paglet is parked."""

    def on_activation(self, event: PersistencyEvent) -> None:
        """Called after the paglet was woken, or came back from a crash (``reason="recovered"``)."""

    def on_disposing(self, event: PersistencyEvent) -> None:
        """Called before the paglet is disposed of."""

    def on_dispatch_failed(self, event: MobilityEvent) -> None:
        """Called when a move did not happen: open again what was cleaned up for it."""

    def deactivation_policy(self, request: DeactivationRequest) -> DeactivationPolicy:
        """What shall happen to the paglet while it is parked; the request's policy unless overridden."""
        return request.policy or DeactivationPolicy()

    def run(self) -> None:
        """The paglet's own work, on its own thread, after creation, arrival, cloning and activation."""

    def handle_message(self, message: Message) -> Any:
        """Answer a message: the returned value is the reply. Raises ``NotHandledError`` unless overridden."""
        raise NotHandledError(f"{type(self).__qualname__} does not handle messages of kind {message.kind!r}")

    # --- for the runtime ---------------------------------------------------------------------------------

    def attach(self, context: PagletContext) -> None:
        """Put the paglet on a host. For the runtime and for tests."""
        self.__context = context

    def detach(self) -> None:
        """Take the paglet off its host. For the runtime and for tests."""
        self.__context = None

    def end_waits(self, reason: str, *, blocking: bool = True) -> bool:
        """The paglet has left: ``wait_state`` raises ``LifecycleError`` from now on. For the runtime.

        Not ``blocking``: False, and nothing done, when somebody holds the paglet's lock.
        """
        return self.__lock.end_waits(reason, blocking=blocking)

    def holds_lock(self) -> bool:
        """Whether the calling thread is inside ``locked()``. For the runtime."""
        return self.__lock.held()

    # --- private -----------------------------------------------------------------------------------------

    @classmethod
    def _first_state(cls) -> StateT:
        state_class = cls.state_class()
        try:
            return state_class()
        except TypeError as error:
            raise HostError(
                f"{cls.__qualname__} needs a state; none can be made without arguments: {error}"
            ) from error

    @classmethod
    def _own_state(cls, state: StateT) -> StateT:
        state_class = cls.state_class()
        if not isinstance(state, state_class):
            raise HostError(
                f"the state of {cls.__qualname__} must be of {state_class.__qualname__}, "
                f"not of {type(state).__qualname__}"
            )
        return state
