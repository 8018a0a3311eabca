"""JSON reads over GET: a table of path patterns, and HTTP answers made of what its functions return."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from websockets.datastructures import Headers
from websockets.http11 import Response

from paglets.core.errors import (
    AuthenticationError,
    ForbiddenError,
    HostError,
    InvalidAgentError,
    PagletError,
    ServiceNotFoundError,
)
from paglets.remote.wire import frames
from paglets.remote.wire.reports import report_of

if TYPE_CHECKING:
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.settings import WireSettings

logger = logging.getLogger(__name__)

MAX_QUERY_FIELDS = 32


class BadQueryError(ValueError):
    """A read was asked with a parameter that it cannot take; the answer is a 400 with this sentence."""


@dataclass(frozen=True, slots=True)
class Query:
    """One read: who asks, the named parts of the path, and the query's parameters."""

    peer: Peer
    path: Mapping[str, str]
    args: Mapping[str, str]
    max_page: int = 1000

    def text(self, name: str, default: str = "") -> str:
        """A parameter as text."""
        return self.args.get(name, default)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """A parameter that is one of ``choices``; the first is the default."""
        value = self.args.get(name, choices[0])
        if value not in choices:
            raise BadQueryError(f"{name} must be one of: {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**63 - 1) -> int:
        """A parameter as a whole number within bounds."""
        text = self.args.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and minimum <= int(text) <= maximum):
            raise BadQueryError(f"{name} must be a whole number from {minimum} to {maximum}")
        return int(text)

    @property
    def limit(self) -> int:
        """How many entries a page has at most: the ``limit`` asked for, within what the host allows."""
        return min(self.integer("limit", self.max_page, minimum=1), self.max_page)

    @property
    def cursor(self) -> str:
        """Where the page begins, as the previous page's ``cursor`` told; empty for the first one."""
        return self.args.get("cursor", "")


Read = Callable[[Query], Awaitable[Any]]
"""Answers what is sent as JSON: a struct, plain data, or ``msgspec.Raw``."""


class ReadTable:
    """Path patterns such as ``/agents/{agent_id}/state`` and what answers them; literal parts win."""

    def __init__(self, reads: Mapping[str, Read]) -> None:
        self._reads = [(tuple(pattern.strip("/").split("/")), read) for pattern, read in reads.items()]
        self._reads.sort(key=lambda entry: sum(part.startswith("{") for part in entry[0]))

    def find(self, path: str) -> tuple[Read, dict[str, str]] | None:
        """What reads this path (still percent-encoded), and the named parts; ``None`` when nothing does."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        for pattern, read in self._reads:
            if len(pattern) != len(parts):
                continue
            named: dict[str, str] = {}
            for expected, part in zip(pattern, parts, strict=True):
                if expected.startswith("{") and part:
                    named[expected[1:-1]] = part
                elif expected != part:
                    break
            else:
                return read, named
        return None


async def answer_read(table: ReadTable, resource: str, peer: Peer, settings: WireSettings) -> Response:
    """The whole HTTP answer to a GET of ``resource`` (path and query), errors included."""
    try:
        async with asyncio.timeout(settings.read_timeout):
            return json_response(
                HTTPStatus.OK, frames.encode_value(await _read(table, resource, peer, settings))
            )
    except BadQueryError as error:
        return error_response(HTTPStatus.BAD_REQUEST, HostError(str(error)))
    except TimeoutError:
        return error_response(
            HTTPStatus.SERVICE_UNAVAILABLE, HostError("the host was too busy to answer in time")
        )
    except PagletError as error:
        return error_response(_status_of(error), error)
    except Exception as error:  # the edge of the task that serves this request
        logger.exception("a read failed", extra={"path": resource.partition("?")[0], "peer": peer.address})
        message = f"the read failed: {type(error).__name__}: {error}"
        return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, HostError(message))


async def _read(table: ReadTable, resource: str, peer: Peer, settings: WireSettings) -> Any:
    path, _, query = resource.partition("?")
    found = table.find(path)
    if found is None:
        raise _NoSuchPathError(f"there is nothing to read at {path[:200]}")
    read, named = found
    try:
        args = dict(
            parse_qsl(
                query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=MAX_QUERY_FIELDS
            )
        )
    except ValueError as error:
        raise BadQueryError(f"the query cannot be read: {error}") from None
    return await read(Query(peer, named, args, settings.max_page))


class _NoSuchPathError(HostError):
    """404 without an unknown id."""


def _status_of(error: PagletError) -> HTTPStatus:
    if isinstance(error, InvalidAgentError | ServiceNotFoundError | _NoSuchPathError):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, AuthenticationError):
        return HTTPStatus.UNAUTHORIZED
    if isinstance(error, ForbiddenError):
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.INTERNAL_SERVER_ERROR


def error_response(status: HTTPStatus, error: PagletError) -> Response:
    """``{"error": {"type", "message", ...}}`` with a status."""
    return json_response(status, b'{"error":%b}' % report_of(error))


def json_response(status: HTTPStatus, body: bytes) -> Response:
    """An answer after which the connection closes."""
    headers = Headers(
        [
            ("Date", formatdate(usegmt=True)),
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)
