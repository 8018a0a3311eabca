"""What went wrong on the way to a host, in sentences that name the host."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import msgspec
from websockets.exceptions import InvalidHandshake

from paglets.core.errors import AuthenticationError, PagletError, RemoteHostError
from paglets.remote.wire.reports import error_of

if TYPE_CHECKING:
    from websockets.http11 import Response


class HostAwayError(RemoteHostError):
    """The host cannot be reached, the connection to it was lost, or it did not answer in time.

    What was asked of it may have been heard or not. Never reported by a host: a ``RemoteHostError`` that
    another host has sent as its answer is one of the base class.
    """


class LinkLostError(HostAwayError):
    """The connection was lost before the call had left, or before its answer came; the host may be there all the same.

    One that has another address now is: only the connection to the old one is dead.
    """


class _ErrorBody(msgspec.Struct, frozen=True):
    error: msgspec.Raw


def explain(url: str, error: BaseException | None) -> PagletError:
    """The error to raise when ``url`` could not be reached, or the connection did not come about."""
    if isinstance(error, PagletError):
        return error
    if isinstance(error, ssl.SSLError):
        return _explain_tls(url, error)
    if isinstance(error, InvalidHandshake):
        return RemoteHostError(f"what answers at {url} is no paglets host: {error}")
    for kinds, sentence in _SENTENCES:
        if isinstance(error, kinds):
            return HostAwayError(sentence.format(url=url, error=error))
    detail = str(error or "") or "no reason given"
    return HostAwayError(f"the host at {url} closed the connection ({detail}); its log may say why")


def _explain_tls(url: str, error: ssl.SSLError) -> PagletError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return AuthenticationError(f"the host at {url} is not of this mesh: {error.verify_message}")
    reason = error.reason or str(error)
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return AuthenticationError(f"the host at {url} does not accept our certificate: {reason}")
    return RemoteHostError(f"what answers at {url} is no paglets host: {reason}")


_SENTENCES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (TimeoutError, "the host at {url} did not answer in time"),
    (ConnectionRefusedError, "cannot reach {url}: connection refused; is a host running there?"),
    (FileNotFoundError, "cannot reach {url}: there is no such socket; is the host running?"),
    (PermissionError, "cannot reach {url}: the socket belongs to another user"),
    (socket.gaierror, "cannot reach {url}: its name cannot be resolved: {error.strerror}"),
    ((ConnectionError, EOFError), "the host at {url} closed the connection ({error}); its log may say why"),
    (OSError, "cannot reach {url}: {error.strerror}"),
)


def rejected(url: str, response: Response) -> PagletError:
    """The error to raise for an HTTP answer that is neither an upgrade nor a result."""
    return error_of_body(url, response.status_code, bytes(response.body))


def error_of_body(url: str, status: int, body: bytes) -> PagletError:
    """The error that an HTTP body reports, or one that names the status."""
    try:
        return error_of(bytes(msgspec.json.decode(body, type=_ErrorBody).error))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return RemoteHostError(f"the host at {url} answered with HTTP status {status}")
