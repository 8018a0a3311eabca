"""Service contracts: a name, a version, and the operations that a provider answers.

::

    ADD = ServiceOperation("add", AddRequest, Sum)
    CALCULATOR = ServiceContract("calculator", (ADD,))

    class Calculator(Paglet[CalculatorState]):
        def on_creation(self, event):
            self.advertise_contract(CALCULATOR)

        def handle_message(self, message):
            return CALCULATOR.route(message, {ADD: self.add})

    total = self.require_contract(CALCULATOR).call(ADD, AddRequest(2, 3))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from paglets.core.errors import ServiceContractError
from paglets.services.handles import ServiceHandle
from paglets.services.operations import EmptyPayload, ServiceOperation
from paglets.services.records import ServiceRecord
from paglets.services.registry import ServiceRegistry

if TYPE_CHECKING:
    from paglets.core.context import PagletContext
    from paglets.core.messages import Message
    from paglets.core.references import ProxyMaker

__all__ = [
    "CONTRACT_METADATA_KEY",
    "EmptyPayload",
    "ServiceContract",
    "ServiceHandle",
    "ServiceOperation",
    "ServiceRecord",
    "ServiceRegistry",
]

CONTRACT_METADATA_KEY = "paglets.service_contract"
"""Where a record's metadata says which contract it is an offer of. Reserved."""

_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class ServiceContract:
    """What a service answers. ``ServiceContractError`` for an empty name or version, no or doubled operations."""

    name: str
    operations: Sequence[ServiceOperation[Any, Any]]
    version: str = "1"

    def __post_init__(self) -> None:
        operations = tuple(_operations(self.name, self.operations))
        object.__setattr__(self, "operations", operations)
        if not self.name:
            raise ServiceContractError("a service contract needs a name")
        if not self.version:
            raise ServiceContractError(f"the service contract {self.name!r} needs a version")
        if not operations:
            raise ServiceContractError(f"the service contract {self.name!r} has no operations")
        seen: set[str] = set()
        for operation in operations:
            if operation.name in seen:
                raise ServiceContractError(
                    f"the service contract {self.name!r} has the operation {operation.name!r} twice"
                )
            seen.add(operation.name)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The names of its operations: what a record of it is found by."""
        return tuple(operation.name for operation in self.operations)

    def operation_for(self, name: str) -> ServiceOperation[Any, Any] | None:
        """The operation of that name, if it has one."""
        return next((operation for operation in self.operations if operation.name == name), None)

    def require_operation(self, op: ServiceOperation[Any, Any] | str) -> ServiceOperation[Any, Any]:
        """The operation itself; ``ServiceContractError`` when it is not in this contract."""
        name = op if isinstance(op, str) else op.name
        found = self.operation_for(name)
        if found is None or (not isinstance(op, str) and found != op):
            raise ServiceContractError(
                f"the service contract {self.name!r} has no operation {op!r}; it has: {', '.join(self.capabilities)}"
            )
        return found

    def metadata(self) -> dict[str, Any]:
        """Name, version and operations as plain data."""
        return {"name": self.name, "version": self.version, "operations": list(self.capabilities)}

    def advertise_metadata(self, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A record's metadata: ``extra``, and the contract under the reserved key."""
        if extra is not None and CONTRACT_METADATA_KEY in extra:
            raise ServiceContractError(
                f"the metadata key {CONTRACT_METADATA_KEY!r} is reserved for the contract itself"
            )
        return {**(extra or {}), CONTRACT_METADATA_KEY: self.metadata()}

    def matches_record(self, record: ServiceRecord) -> bool:
        """Whether a record offers this contract: name, version, and every operation."""
        offered = record.metadata.get(CONTRACT_METADATA_KEY)
        if record.name != self.name or not isinstance(offered, Mapping):
            return False
        facts = cast("Mapping[str, Any]", offered)
        operations = facts.get("operations")
        return (
            facts.get("name") == self.name
            and facts.get("version") == self.version
            and isinstance(operations, list | tuple)
            and set(self.capabilities) <= set(cast("Iterable[Any]", operations))
        )

    def handle(
        self, record: ServiceRecord, context_or_client: PagletContext | ProxyMaker | None = None
    ) -> ServiceHandle:
        """A handle to call that offer by."""
        return ServiceHandle(self, record, context_or_client)

    def route(
        self,
        message: Message,
        handlers: Mapping[ServiceOperation[Any, Any], Callable[[Any], Any]],
        *,
        default: Callable[[Message], Any] | Callable[[], Any] | object = _ABSENT,
    ) -> Any:
        """Give a message's request to the handler of its operation; that one's reply as plain data.

        What is not in the contract, or has no handler, goes to ``default``: called with the message when it
        can be called, returned when not. ``ServiceContractError`` when there is none, for a handler of an
        operation that is not in the contract, and for a request or reply of the wrong type.
        """
        for op in handlers:
            self.require_operation(op)
        operation = self.operation_for(message.kind)
        handler = None if operation is None else handlers.get(operation)
        if operation is None or handler is None:
            return self._unrouted(message, default)
        return operation.encode_reply(handler(operation.decode_request(message)))

    def _unrouted(self, message: Message, default: Any) -> Any:
        if default is _ABSENT:
            raise ServiceContractError(
                f"the service contract {self.name!r} does not answer {message.kind!r}; "
                f"it has: {', '.join(self.capabilities)}"
            )
        if not callable(default):
            return default
        return default(message) if _takes_an_argument(default) else default()


def _operations(
    contract: str, operations: Iterable[ServiceOperation[Any, Any]]
) -> Iterable[ServiceOperation[Any, Any]]:
    for operation in operations:
        if not isinstance(cast("object", operation), ServiceOperation):
            raise ServiceContractError(
                f"the service contract {contract!r} is made of operations, not of {operation!r}"
            )
        yield operation


def _takes_an_argument(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
