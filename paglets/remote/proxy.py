"""Handles to paglets, wherever they are."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import msgspec

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import HostError, InvalidAgentError, PagletError, RemoteHostError
from paglets.core.messages import FUTURE, ONEWAY, SYNCHRONOUS, FutureReply, Message
from paglets.core.runtime_values import ACTIVE, INACTIVE
from paglets.remote import api
from paglets.remote.moved import MovedReply
from paglets.remote.references import PagletProxyRef
from paglets.remote.replies import decoded
from paglets.remote.transfer import TransferTicket
from paglets.serialization.values import from_json, to_json

if TYPE_CHECKING:
    import concurrent.futures
    import os
    from collections.abc import Mapping

    from paglets.core.artifact_desk import ArtifactDesk

MOVE_GRACE = 5.0
"""Seconds that a move may take beyond its ticket's timeout before the caller stops waiting for the answer."""


class ProxyClient(Protocol):
    """What a proxy calls through: a host's client, a child's link, or a program's ``HostClient``."""

    def call(self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None) -> bytes:
        """Call an operation of a host and wait for its raw JSON result; raises the ``PagletError`` family.

        ``timeout`` in seconds; None: what the client thinks right. The result may be a ``MovedReply``.
        """
        ...

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        """The same without waiting."""
        ...


@runtime_checkable
class CarriesArtifacts(Protocol):
    """A client that brings artifacts to hosts, too."""

    @property
    def artifact_desk(self) -> ArtifactDesk:
        """What it brings them with."""
        ...


class PagletProxy:
    """A handle to one paglet. It can be kept, sent in messages, and used from any thread.

    ``host_url`` is where the paglet was last seen. A host that a paglet has left forwards to the new place,
    and the proxy learns it from the answer.
    """

    process_client: ClassVar[ProxyClient | None] = None
    """What proxies without a client call through. Set by the runtime, and only in the process of a paglet: so a
    proxy in a state can be used wherever the paglet is."""

    def __init__(self, host_url: str, agent_id: str, client: ProxyClient | None) -> None:
        self.host_url = host_url
        self.agent_id = agent_id
        self._client = client

    # --- as a value ----------------------------------------------------------------------------------

    def to_wire(self) -> dict[str, str]:
        """``{"host_url", "agent_id"}``."""
        return self.ref().to_wire()

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any], client: ProxyClient | None = None) -> PagletProxy:
        """Read what ``to_wire`` wrote; ``SerializationError`` for anything else.

        Without a client the proxy can be used in the process of a paglet; elsewhere it can be kept and compared,
        and raises ``HostError`` when it is used.
        """
        ref = PagletProxyRef.from_wire(payload)
        return cls(ref.host_url, ref.agent_id, client)

    def ref(self) -> PagletProxyRef:
        """The address alone."""
        return PagletProxyRef.from_proxy(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PagletProxy):
            return NotImplemented
        return (self.host_url, self.agent_id) == (other.host_url, other.agent_id)

    def __hash__(self) -> int:
        return hash(self.agent_id)  # the place may change

    def __repr__(self) -> str:
        return f"PagletProxy({self.host_url!r}, {self.agent_id!r})"

    # --- what is known of the paglet -----------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What its host tells: ``agent_id class_name state_class_name active crashed exitcode pid`` and more.

        ``InvalidAgentError`` when the host knows no such paglet.
        """
        raw = self._call(api.PAGLETS_INFO, api.PagletParams(agent_id=self.agent_id))
        return msgspec.json.decode(raw, type=dict[str, Any])

    def is_valid(self) -> bool:
        """Whether its host can be reached and has it, active or not."""
        try:
            self.info()
        except (InvalidAgentError, RemoteHostError):
            return False
        return True

    def is_active(self) -> bool:
        """Whether it runs; ``InvalidAgentError`` when it is not there."""
        return bool(self.info().get("active"))

    def is_state(self, state: int) -> bool:
        """Whether it is in one of the states (``ACTIVE | INACTIVE``)."""
        return bool(state & (ACTIVE if self.is_active() else INACTIVE))

    def is_remote(self, local_url: str | None = None) -> bool:
        """Whether it is elsewhere than at ``local_url``, or else than at the host of this proxy's client."""
        client = self._client or self.process_client
        here = local_url if local_url is not None else getattr(client, "local_url", None)
        return here is None or self.host_url.rstrip("/") != str(here).rstrip("/")

    def get_address(self) -> str:
        """The URL of its host."""
        return self.host_url

    def get_agent_id(self) -> str:
        """Its id."""
        return self.agent_id

    def get_agent_class_name(self) -> str:
        """Its class as ``module:Name``."""
        return str(self.info()["class_name"])

    # --- messages ------------------------------------------------------------------------------------

    def send(
        self,
        message: Message,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Send and wait for the reply.

        Raises what the handler raised, ``InvalidAgentError`` when there is no such paglet,
        ``PagletInactiveError`` when it is parked and ``no_delay`` forbids to wait. For a parked paglet whose
        policy queues messages, its host answers ``{"queued": True, "message_id": ...}``.
        """
        params = self._message(message, SYNCHRONOUS, activate_if_inactive, no_delay, timeout)
        return from_json(self._call(api.MESSAGE_SEND, params, timeout))

    def send_oneway(
        self,
        message: Message,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Send and wait until the message is in the paglet's mailbox, not for a reply."""
        self._call(
            api.MESSAGE_SEND, self._message(message, ONEWAY, activate_if_inactive, no_delay, timeout), timeout
        )

    def send_future(
        self,
        message: Message,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> FutureReply:
        """Send; the reply can be had from the ``FutureReply``."""
        params = self._message(message, FUTURE, activate_if_inactive, no_delay, timeout)
        raw = self._require_client().submit(self.host_url, api.MESSAGE_SEND, params, timeout=timeout)
        return FutureReply(decoded(raw, self._learn))

    def send_artifact(
        self,
        message: Message,
        path: str | os.PathLike[str],
        *,
        arg_name: str = "artifact",
        move: bool = False,
        name: str | None = None,
        compression: str = "",
        timeout: float | None = None,
    ) -> Any:
        """Bring a file to the paglet's host as an artifact, and send the message with its reference; the reply.

        The reference goes as plain data in the argument ``arg_name``: ``ArtifactRef.from_wire`` reads it, and
        ``download_artifact`` takes it as it is. A failed delivery leaves no artifact; ``move`` deletes the file
        after the delivery. ``timeout`` is for the message, not for the artifact.
        """
        client = self._require_client()
        if not isinstance(client, CarriesArtifacts):
            raise HostError("the client of this proxy carries no artifacts")
        desk = client.artifact_desk
        self.host_url = str(self.info().get("host_address") or self.host_url)
        ref = desk.upload(
            path, host_url=self.host_url, owner_agent_id=self.agent_id, name=name, compression=compression
        )
        try:
            wired = replace(message, args={**message.args, arg_name: ref.to_wire()})
            reply = self.send(wired, timeout=timeout)
        except BaseException:
            with contextlib.suppress(PagletError):  # what the delivery failed with tells more
                desk.delete(ref)
            raise
        if move:
            Path(path).unlink(missing_ok=True)
        return reply

    # --- its life ------------------------------------------------------------------------------------

    def dispatch(self, target: str | TransferTicket) -> PagletProxy:
        """Move it. The proxy at the new place; this proxy goes there too.

        ``TransferError``: it did not move. ``TransferInDoubtError``: that cannot be told yet. With ``queue`` in the
        ticket, and its host away, it is put into the outbox: the proxy is for where it waits, durably, and messages
        through it follow it later.
        """
        ticket = TransferTicket.from_target(target)
        params = api.DispatchParams(agent_id=self.agent_id, ticket=ticket.to_wire())
        return self._move(api.PAGLETS_DISPATCH, params, _patience(ticket))

    def clone(self, target: str | TransferTicket | None = None) -> PagletProxy:
        """Make a copy of it, there or, without a target, beside it; the copy's proxy."""
        ticket = None if target is None else TransferTicket.from_target(target)
        params = api.CloneParams(agent_id=self.agent_id, ticket=None if ticket is None else ticket.to_wire())
        place = self._place(api.PAGLETS_CLONE, params, None if ticket is None else _patience(ticket))
        return PagletProxy(place.host_url, place.agent_id, self._client)

    def deactivate(
        self,
        *,
        reason: str = "deactivate",
        policy: DeactivationPolicy | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> PagletProxy:
        """Park it; the proxy of the parked paglet."""
        request = DeactivationRequest(reason=reason, policy=policy, metadata=metadata or {})
        return self._move(
            api.PAGLETS_DEACTIVATE, api.DeactivateParams(agent_id=self.agent_id, request=request.to_wire())
        )

    def activate(self) -> PagletProxy:
        """Wake it; the proxy of the active paglet."""
        return self._move(api.PAGLETS_ACTIVATE, api.PagletParams(agent_id=self.agent_id))

    def dispose(self) -> None:
        """End it for good."""
        self._call(api.PAGLETS_DISPOSE, api.PagletParams(agent_id=self.agent_id))

    # --- inside --------------------------------------------------------------------------------------

    def _message(
        self,
        message: Message,
        message_type: int,
        activate_if_inactive: bool,  # noqa: FBT001 - private, and always passed on by name
        no_delay: bool,  # noqa: FBT001
        timeout: float | None,
    ) -> api.MessageParams:
        body = {"args": message.args, "arg": message.arg, "reply_to": message.reply_to}
        return api.MessageParams(
            agent_id=self.agent_id,
            kind=message.kind,
            message_id=message.message_id,
            body=msgspec.Raw(to_json(body)),
            sender=message.sender,
            priority=message.priority,
            message_type=message_type,
            timestamp=message.timestamp,
            activate_if_inactive=activate_if_inactive,
            no_delay=no_delay,
            timeout=timeout,
        )

    def _require_client(self) -> ProxyClient:
        client = self._client or self.process_client
        if client is None:
            raise HostError(
                f"this proxy of {self.agent_id} has no client to call through; "
                "resolve its ref() with a context or a client"
            )
        return client

    def _call(self, method: str, params: msgspec.Struct, timeout: float | None = None) -> bytes:
        return self._learn(self._require_client().call(self.host_url, method, params, timeout=timeout))

    def _learn(self, raw: bytes) -> bytes:
        if isinstance(raw, MovedReply):
            self.host_url = raw.host_url
        return raw

    def _place(self, method: str, params: msgspec.Struct, timeout: float | None = None) -> api.Place:
        raw = self._call(method, params, timeout)
        try:
            return msgspec.json.decode(raw, type=api.Place)
        except msgspec.DecodeError as error:
            raise RemoteHostError(
                f"the host at {self.host_url} answered {method} with no place: {error}"
            ) from None

    def _move(self, method: str, params: msgspec.Struct, timeout: float | None = None) -> PagletProxy:
        place = self._place(method, params, timeout)
        self.host_url = place.host_url
        return PagletProxy(place.host_url, place.agent_id, self._client)


def _patience(ticket: TransferTicket) -> float:
    """Seconds to wait for the answer to a move on that ticket."""
    waiting = (ticket.timeout + ticket.retry_interval) * (ticket.retries + 1) + MOVE_GRACE
    return waiting + 2 * MOVE_GRACE if ticket.queue else waiting  # the host is looked for, maybe twice
