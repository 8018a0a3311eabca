"""TLS contexts of mesh members, and who is at the other end of a connection.

TLS 1.3 only, both ways with certificates; no clock is looked at. No sessions are resumed, so that every
connection shows its certificate and a revoked key cannot come back on an old ticket.

The names of members do not take part in TLS: identity is the key. Members send :data:`MEMBER_SERVER_NAME`
as the server name, so that a server can tell them from browsers, which need a certificate of another kind.
"""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.remote.trust.errors import BadCertificateError
from paglets.remote.trust.reading import read_member

if TYPE_CHECKING:
    from paglets.remote.trust.certificates import Authority, CertificateChain, PeerIdentity
    from paglets.remote.trust.keys import HostKey

MEMBER_SERVER_NAME = "member.paglets.internal"
"""What members send as the TLS server name, whomever they dial."""

_NO_CHECK_TIME = 0x200000
"""``X509_V_FLAG_NO_CHECK_TIME``, X509_VERIFY_PARAM_set_flags(3); the ssl module has no name for it."""


def make_server_context(authority: Authority, key: HostKey, chain: CertificateChain) -> ssl.SSLContext:
    """For the listening side. A client may come without a certificate; one that it shows is verified."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, authority, key, chain)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


def make_client_context(authority: Authority, key: HostKey, chain: CertificateChain) -> ssl.SSLContext:
    """For the dialling side. The server has to show a certificate of the mesh; its names are not compared."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, authority, key, chain)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def peer_identity(connection: ssl.SSLObject | ssl.SSLSocket, mesh_id: str) -> PeerIdentity | None:
    """Who is at the other end, or None when it showed no certificate.

    The handshake must be over, in a context of this module: that has verified the chain. Whether the key is
    revoked, and whether the role will do, is for the caller.

    Raises:
        BadCertificateError: a certificate that chains to the authority but is not laid out as a member's.
    """
    if connection.context.verify_mode is ssl.CERT_NONE:
        raise BadCertificateError("the peer's certificate was never verified on this connection")
    der = connection.getpeercert(binary_form=True)
    return None if der is None else read_member(der, mesh_id)


def _context(protocol: int, authority: Authority, key: HostKey, chain: CertificateChain) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT | _NO_CHECK_TIME
    context.load_verify_locations(cadata=authority.certificate)
    _load_chain(context, key.to_pem() + chain.to_pem())
    return context


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """The ssl module reads chains from files only; this one never touches a disk where that can be had."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("paglets-tls", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(pem)
            memory = f"/proc/self/fd/{descriptor}"
            if os.access(memory, os.R_OK):  # not so without /proc, or in a process that may not be dumped
                context.load_cert_chain(memory)
                return
        finally:
            os.close(descriptor)
    with tempfile.TemporaryDirectory(prefix="paglets-") as directory:
        path = Path(directory) / "chain.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        context.load_cert_chain(path)
