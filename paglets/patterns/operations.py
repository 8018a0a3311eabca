"""Paglets that answer typed operations, and calling them: a service contract without the service.

::

    ADD = ServiceOperation("add", AddRequest, Sum)

    class Adder(OperationPaglet[AdderState]):
        State = AdderState
        Operations = (ADD,)

        def operation_handlers(self):
            return {ADD: self.add}

        def add(self, request: AddRequest) -> Sum: ...

    total = OperationClient(proxy).call(ADD, AddRequest(2, 3))
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from paglets.core.agent import Paglet
from paglets.services.contracts import ServiceContract
from paglets.services.operations import ServiceOperation

if TYPE_CHECKING:
    from paglets.core.messages import Message
    from paglets.remote.proxy import PagletProxy

__all__ = ["OperationClient", "OperationHandlers", "OperationPaglet", "ServiceOperation"]

StateT = TypeVar("StateT")
RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

OperationHandlers = Mapping[ServiceOperation[Any, Any], Callable[[Any], Any]]
"""What ``operation_handlers`` returns: each handler takes the typed request and returns the typed reply."""


class OperationPaglet(Paglet[StateT]):
    """Routes messages by kind to the handler of the operation of that name. Works without a host, too.

    A request or a reply of the wrong type is a ``ServiceContractError``, and so is a handler for what is not
    in ``Operations``.
    """

    Operations: ClassVar[tuple[ServiceOperation[Any, Any], ...]] = ()

    def operation_handlers(self) -> OperationHandlers:
        """The handler of each operation; an operation without one is left to ``handle_operation_message``."""
        return {}

    def handle_operation_message(self, message: Message) -> Any:
        """Answer a message that is no operation; None: not handled."""
        del message

    def handle_message(self, message: Message) -> Any:
        """Answer an operation, or what ``handle_operation_message`` has an answer for."""
        if not self.Operations:
            return self._other(message)
        contract = _contract(type(self).__qualname__, tuple(self.Operations))
        return contract.route(message, self.operation_handlers(), default=self._other)

    def _other(self, message: Message) -> Any:
        answer = self.handle_operation_message(message)
        return self.not_handled() if answer is None else answer


class OperationClient:
    """Calls operations of one paglet, with types."""

    __slots__ = ("proxy",)

    def __init__(self, proxy: PagletProxy) -> None:
        self.proxy = proxy

    def call(
        self,
        op: ServiceOperation[RequestT, ReplyT],
        request: RequestT | None = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> ReplyT:
        """Ask, wait for the answer, and return it typed. None: a request with every field at its default.

        ``ServiceContractError`` for a request or reply of the wrong type, otherwise what ``PagletProxy.send``
        raises.
        """
        answer: Any = self.proxy.send(
            op.to_message(request),
            activate_if_inactive=activate_if_inactive,
            no_delay=no_delay,
            timeout=timeout,
        )
        return op.decode_reply(answer)

    def send_oneway(
        self,
        op: ServiceOperation[RequestT, ReplyT],
        request: RequestT | None = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Ask without waiting for an answer; returns when the request is in the paglet's mailbox."""
        self.proxy.send_oneway(
            op.to_message(request),
            activate_if_inactive=activate_if_inactive,
            no_delay=no_delay,
            timeout=timeout,
        )


@functools.lru_cache(maxsize=256)
def _contract(name: str, operations: tuple[ServiceOperation[Any, Any], ...]) -> ServiceContract:
    return ServiceContract(name, operations)
