"""Calling a service that was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from paglets.core.context import PagletContext
    from paglets.core.references import ProxyMaker
    from paglets.remote.proxy import PagletProxy
    from paglets.services.contracts import ServiceContract
    from paglets.services.operations import ServiceOperation
    from paglets.services.records import ServiceRecord

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class ServiceHandle:
    """A contract and somebody who offers it. Calls go through the context or client that it was made with."""

    __slots__ = ("_maker", "contract", "record")

    def __init__(
        self,
        contract: ServiceContract,
        record: ServiceRecord,
        context_or_client: PagletContext | ProxyMaker | None = None,
    ) -> None:
        self.contract = contract
        self.record = record
        self._maker = context_or_client

    def __repr__(self) -> str:
        return f"ServiceHandle({self.contract.name!r}, {self.record.proxy.agent_id!r} at {self.record.proxy.host_url})"

    @property
    def proxy(self) -> PagletProxy:
        """The providing paglet; ``HostError`` for a handle that was made without a context or client."""
        return self.record.proxy.resolve(self._maker)

    @overload
    def call(
        self,
        op: ServiceOperation[RequestT, ReplyT],
        req: RequestT | None = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> ReplyT: ...

    @overload
    def call(
        self,
        op: str,
        req: object = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> Any: ...

    def call(
        self,
        op: ServiceOperation[Any, Any] | str,
        req: object = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Ask, wait for the answer, and return it; typed, unless the operation is given by name.

        ``ServiceContractError`` for an operation that is not in the contract and for a request or reply of the
        wrong type, otherwise what ``PagletProxy.send`` raises.
        """
        operation = self.contract.require_operation(op)
        answer: Any = self.proxy.send(
            operation.to_message(req),
            activate_if_inactive=activate_if_inactive,
            no_delay=no_delay,
            timeout=timeout,
        )
        return operation.decode_reply(answer)

    def send_oneway(
        self,
        op: ServiceOperation[RequestT, ReplyT] | str,
        req: RequestT | None = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Ask without waiting for an answer; returns when the request is in the provider's mailbox."""
        self.proxy.send_oneway(
            self.contract.require_operation(op).to_message(req),
            activate_if_inactive=activate_if_inactive,
            no_delay=no_delay,
            timeout=timeout,
        )
