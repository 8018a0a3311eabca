"""The text frames of a control link: one object of JSON-RPC 2.0 (https://www.jsonrpc.org/specification) each.

Batches are not taken. Ids are integers or short strings, chosen by the caller. Whatever arrives either
decodes or raises ``FrameError``; whatever is spliced into a frame was checked to be exactly one JSON value.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from paglets.remote.moved import MovedReply

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
OPERATION_FAILED: Final = -32000
"""The operation ran and failed; ``data`` is the report of its error."""
TOO_BUSY: Final = -32001
"""Too many calls of this connection wait for their answer."""
FORBIDDEN: Final = -32002

MAX_ID_CHARS = 64
_EMPTY: Final = msgspec.Raw(b"{}")

RequestId = int | str


class FrameError(ValueError):
    """A frame that is no request: ``code`` and ``id`` go into the answer."""

    def __init__(self, code: int, message: str, request_id: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class Request(msgspec.Struct, frozen=True):
    """A call, or, without an id, a notification."""

    jsonrpc: str
    method: str
    id: int | str | UnsetType | None = UNSET
    params: msgspec.Raw = _EMPTY


class ErrorObject(msgspec.Struct, frozen=True):
    """Why a call failed."""

    code: int
    message: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Answer(msgspec.Struct, frozen=True):
    """What a caller gets back: a result, an error, or a notification that belongs to a subscription."""

    id: int | str | None = None
    result: msgspec.Raw | UnsetType = UNSET
    error: ErrorObject | None = None
    method: str = ""
    params: msgspec.Raw = _EMPTY
    moved_to: str = ""
    """Ours, beside what JSON-RPC has: the URL of the host to which the paglet has moved on."""


class _IdOnly(msgspec.Struct, frozen=True):
    id: int | str | None = None


_request_decoder = msgspec.json.Decoder(Request)
_answer_decoder = msgspec.json.Decoder(Answer)
_id_decoder = msgspec.json.Decoder(_IdOnly)
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_encoder = msgspec.json.Encoder()


def decode_request(data: bytes, *, text: bool = True) -> Request:
    """Read a caller's frame; ``FrameError`` for anything but one JSON-RPC 2.0 request or notification."""
    if not text:
        raise FrameError(INVALID_REQUEST, "control links speak text frames")
    try:
        require_utf8(data)
        request = _request_decoder.decode(data)
    except msgspec.ValidationError as error:
        code = INVALID_REQUEST if _is_json(data) else PARSE_ERROR
        raise FrameError(code, f"this is no JSON-RPC request: {error}", _find_id(data)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(PARSE_ERROR, f"this is not JSON: {error}") from None
    if request.jsonrpc != "2.0":
        raise FrameError(INVALID_REQUEST, 'only "jsonrpc": "2.0" is spoken here', _find_id(data))
    if isinstance(request.id, str) and len(request.id) > MAX_ID_CHARS:
        raise FrameError(INVALID_REQUEST, f"an id has at most {MAX_ID_CHARS} characters")
    return request


def decode_answer(data: bytes, *, text: bool = True) -> Answer:
    """Read a host's frame; ``FrameError`` for anything else."""
    if not text:
        raise FrameError(INVALID_REQUEST, "control links speak text frames")
    try:
        require_utf8(data)
        return _answer_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(PARSE_ERROR, f"this is no JSON-RPC answer: {error}") from None


def one_json_value(raw: bytes | msgspec.Raw) -> bytes:
    """The same bytes, once it is sure that they are exactly one JSON value; ``ValueError`` otherwise."""
    data = bytes(raw)
    try:
        if not data.isascii():
            require_utf8(data)
        _raw_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is not one JSON value: {error}") from None
    return data


def encode_value(value: Any) -> bytes:
    """A result or parameters as JSON: raw JSON is checked, everything else encoded."""
    if isinstance(value, msgspec.Raw | MovedReply):
        return one_json_value(value)
    return _encoder.encode(value)


def request_prefix(method: str) -> bytes:
    """The part of a request that is the same for every call of a method, up to its id."""
    return b'{"jsonrpc":"2.0","method":%b,"id":' % _encoder.encode(method)


def encode_request(prefix: bytes, request_id: int, params: bytes) -> bytes:
    """A request; ``params`` is one JSON object already."""
    return b'%b%d,"params":%b}' % (prefix, request_id, params)


def encode_result(request_id: RequestId, result: bytes, moved_to: str = "") -> bytes:
    """An answer; ``result`` is JSON already, ``moved_to`` the URL where it was made, if elsewhere."""
    moved = b',"moved_to":%b' % _encoder.encode(moved_to) if moved_to else b""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b%b}' % (_encode_id(request_id), result, moved)


def encode_error(request_id: RequestId | None, code: int, message: str, data: bytes = b"null") -> bytes:
    """An error answer; ``data`` is one JSON value already."""
    return b'{"jsonrpc":"2.0","id":%b,"error":{"code":%d,"message":%b,"data":%b}}' % (
        _encode_id(request_id),
        code,
        _encoder.encode(message),
        data,
    )


def encode_notification(method: str, params: bytes) -> bytes:
    """A notification; ``params`` is one JSON value already."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (_encoder.encode(method), params)


def require_utf8(data: bytes) -> None:
    """``UnicodeDecodeError`` unless it is UTF-8: the decoder does not look inside strings that it skips."""
    if not data.isascii():
        data.decode()


def _encode_id(request_id: RequestId | None) -> bytes:
    return b"%d" % request_id if isinstance(request_id, int) else _encoder.encode(request_id)


def _is_json(data: bytes) -> bool:
    try:
        one_json_value(data)
    except ValueError:
        return False
    return True


def _find_id(data: bytes) -> RequestId | None:
    """The id of a frame that is no request, when it has one that can be told."""
    try:
        found = _id_decoder.decode(data).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if isinstance(found, str) and len(found) > MAX_ID_CHARS else found
