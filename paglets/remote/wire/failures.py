"""What went wrong on the way to a host, in sentences that name the host."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import AuthenticationError, PagletError, RemoteHostError
from paglets.remote.wire.reports import error_of

if TYPE_CHECKING:
    from websockets.http11 import Response


class _ErrorBody(msgspec.Struct, frozen=True):
    error: msgspec.Raw


def explain(url: str, error: BaseException | None) -> PagletError:
    """The error to raise when ``url`` could not be reached, or the connection did not come about."""
    if isinstance(error, PagletError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return AuthenticationError(f"the host at {url} is not of this mesh: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
            return AuthenticationError(f"the host at {url} does not accept our certificate: {reason}")
        return RemoteHostError(f"what answers at {url} is no paglets host: {reason}")
    if isinstance(error, TimeoutError):
        return RemoteHostError(f"the host at {url} did not answer in time")
    if isinstance(error, ConnectionRefusedError):
        return RemoteHostError(f"cannot reach {url}: connection refused; is a host running there?")
    if isinstance(error, FileNotFoundError):
        return RemoteHostError(f"cannot reach {url}: there is no such socket; is the host running?")
    if isinstance(error, socket.gaierror):
        return RemoteHostError(f"cannot reach {url}: its name cannot be resolved: {error.strerror}")
    if error is None or isinstance(error, ConnectionError | EOFError):
        detail = "" if error is None or not str(error) else f" ({error})"
        return RemoteHostError(
            f"the host at {url} closed the connection before it answered{detail}; its log may say why"
        )
    return RemoteHostError(f"cannot reach {url}: {error}")


def rejected(url: str, response: Response) -> PagletError:
    """The error to raise for an HTTP answer that is neither an upgrade nor a result."""
    return error_of_body(url, response.status_code, bytes(response.body))


def error_of_body(url: str, status: int, body: bytes) -> PagletError:
    """The error that an HTTP body reports, or one that names the status."""
    try:
        return error_of(bytes(msgspec.json.decode(body, type=_ErrorBody).error))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return RemoteHostError(f"the host at {url} answered with HTTP status {status}")
