"""One operation of a service: its name, what is asked, what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar, cast, overload

from paglets.core.errors import PagletInactiveError, SerializationError, ServiceContractError
from paglets.core.messages import Message
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire, qualified_name

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")
AskedT = TypeVar("AskedT")


@dataclass(frozen=True, slots=True)
class EmptyPayload:
    """A request or reply that says nothing."""


class ServiceOperation(Generic[RequestT, ReplyT]):
    """A message kind with a dataclass for its arguments and one for its reply.

    ``name`` is the message's kind. Both payload types are importable dataclasses; ``ServiceContractError``
    for an empty name and for a payload that is no dataclass or is local to a function.
    """

    __slots__ = ("name", "reply_type", "request_type")

    name: str
    request_type: type[RequestT]
    reply_type: type[ReplyT]

    @overload
    def __init__(self: ServiceOperation[EmptyPayload, EmptyPayload], name: str) -> None: ...
    @overload
    def __init__(
        self: ServiceOperation[AskedT, EmptyPayload], name: str, request_type: type[AskedT]
    ) -> None: ...
    @overload
    def __init__(
        self: ServiceOperation[EmptyPayload, AskedT], name: str, *, reply_type: type[AskedT]
    ) -> None: ...
    @overload
    def __init__(self, name: str, request_type: type[RequestT], reply_type: type[ReplyT]) -> None: ...
    def __init__(
        self, name: str, request_type: type[Any] = EmptyPayload, reply_type: type[Any] = EmptyPayload
    ) -> None:
        if not name:
            raise ServiceContractError("an operation needs a name")
        self.name = name
        self.request_type = _payload_type(name, "request", request_type)
        self.reply_type = _payload_type(name, "reply", reply_type)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServiceOperation):
            return NotImplemented
        theirs = cast("ServiceOperation[Any, Any]", other)
        return self._key() == theirs._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"ServiceOperation({self.name!r}, {self.request_type.__qualname__}, {self.reply_type.__qualname__})"

    def _key(self) -> tuple[str, type[Any], type[Any]]:
        return self.name, self.request_type, self.reply_type

    # --- requests ----------------------------------------------------------------------------------------

    def to_message(self, req: RequestT | None = None) -> Message:
        """The request as a message; None stands for a request with every field at its default."""
        return Message(self.name, self.encode_request(req))

    def encode_request(self, req: RequestT | None = None) -> dict[str, Any]:
        """A request's fields as plain values; ``ServiceContractError`` for one of another type."""
        return self._encode("request", self.request_type, req)

    def decode_request(self, payload: Message | Mapping[str, Any]) -> RequestT:
        """The request in a message, or in its arguments; ``ServiceContractError`` when it does not fit."""
        args = payload.args if isinstance(payload, Message) else payload
        return self._decode("request", self.request_type, args)

    # --- replies -----------------------------------------------------------------------------------------

    def encode_reply(self, reply: ReplyT | None = None) -> dict[str, Any]:
        """A reply's fields as plain values; ``ServiceContractError`` for one of another type."""
        return self._encode("reply", self.reply_type, reply)

    def decode_reply(self, payload: object) -> ReplyT:
        """The reply in what a handler answered; ``ServiceContractError`` when it does not fit.

        ``PagletInactiveError`` when it is the word of a host that the request waits for a parked paglet.
        """
        if _is_queued(payload) and not any(
            each.name == "queued" for each in fields(cast("Any", self.reply_type))
        ):
            raise PagletInactiveError(
                f"the request of operation {self.name!r} waits in the queue of a parked paglet; there is no reply yet"
            )
        return self._decode("reply", self.reply_type, payload)

    # --- private -----------------------------------------------------------------------------------------

    def _encode(self, what: str, wanted: type[Any], value: object) -> dict[str, Any]:
        if value is None:
            value = self._default(what, wanted)
        if type(value) is not wanted:
            raise ServiceContractError(
                f"a {what} of operation {self.name!r} is a {wanted.__qualname__}, not a {type(value).__qualname__}"
            )
        try:
            return dataclass_to_wire(value)
        except SerializationError as error:
            raise ServiceContractError(f"the {what} of operation {self.name!r}: {error}") from error

    def _default(self, what: str, wanted: type[Any]) -> Any:
        try:
            return wanted()
        except TypeError:
            raise ServiceContractError(
                f"operation {self.name!r} needs a {what}: a {wanted.__qualname__} has fields without a default"
            ) from None

    def _decode(self, what: str, wanted: type[Any], payload: object) -> Any:
        try:
            return dataclass_from_wire(wanted, payload)
        except SerializationError as error:
            raise ServiceContractError(f"the {what} of operation {self.name!r}: {error}") from error


def _is_queued(payload: object) -> bool:
    """Whether a host says that it keeps a message for later."""
    if not isinstance(payload, Mapping):
        return False
    told = cast("Mapping[str, object]", payload)
    return set(told) == {"queued", "message_id"} and told["queued"] is True


def _payload_type(operation: str, what: str, cls: object) -> type[Any]:
    if not isinstance(cls, type) or not is_dataclass(cls):
        raise ServiceContractError(f"the {what} type of operation {operation!r} is no dataclass: {cls!r}")
    try:
        qualified_name(cls)
    except SerializationError as error:
        raise ServiceContractError(f"the {what} type of operation {operation!r}: {error}") from error
    return cls
