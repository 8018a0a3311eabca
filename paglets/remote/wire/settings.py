"""Every bound of the wire, in one value."""

from __future__ import annotations

from dataclasses import dataclass

SUBPROTOCOL = "paglets.v1"
"""Name and major version of what is spoken after the WebSocket handshake."""

CONTROL_PATH = "/v1/control"
STREAM_PATH = "/v1/stream"
CHUNK_BYTES = 256 * 1024
"""The largest binary frame of a stream: larger ones would starve pings."""
REFUSED_PREFIX = b'{"refused":'
"""How a refusal of a transfer begins; everything else that its receiver says is a verdict."""

MAX_CONTROL_FRAME = 8 * 1024 * 1024
"""The largest text frame of a control link."""
MAX_MESSAGE_BYTES = MAX_CONTROL_FRAME - 64 * 1024
"""The largest body of a message, wherever it goes: what a paglet is sent here, it can be sent from afar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSettings:
    """Sizes in bytes, times in seconds. The defaults suit a small board in a mesh of 200 hosts."""

    # --- strangers -----------------------------------------------------------------------------------
    max_pending: int = 128
    """Connections that have not shown who they are yet; the oldest goes when one more comes."""
    handshake_timeout: float = 5.0
    """For the TLS handshake, and again for the request that follows it."""
    max_request_bytes: int = 16 * 1024
    """Request line and headers together."""
    security_interval: float = 1.0
    """At most one report per reason in this time; it says how many it stands for."""
    # --- connections ---------------------------------------------------------------------------------
    max_connections: int = 1024
    """Shared fairly among peers. The local socket lets people in when all others are taken, too."""
    max_connections_per_peer: int = 64
    backlog: int = 512
    ping_interval: float = 15.0
    """A connection that was silent this long is pinged."""
    ping_timeout: float = 30.0
    """And is given up when it stays silent this long after that."""
    close_timeout: float = 2.0
    write_limit: int = 64 * 1024
    """Buffered output at which a writer waits; half of it lets the writer go on."""
    max_unsent: int = 32 * 1024 * 1024
    """Buffered output of a connection beyond which answers and calls are not added to it, but fail."""
    # --- control links -------------------------------------------------------------------------------
    max_control_frame: int = MAX_CONTROL_FRAME
    max_in_flight: int = 4096
    """Calls of one connection that wait for their answer."""
    max_call_bytes: int = 256 * 1024 * 1024
    """Calls of all connections that wait for their answer, shared fairly among peers."""
    max_bad_frames: int = 16
    max_subscriptions: int = 16
    """Subscriptions of one connection."""
    max_subscriptions_here: int = 256
    """Of all connections, shared fairly among peers."""
    subscription_queue: int = 1000
    """Events that wait for a slow subscriber before it is dropped."""
    subscription_bytes: int = 1024 * 1024
    """And their bytes."""
    # --- streams -------------------------------------------------------------------------------------
    max_streams: int = 32
    """Streams that are open to this host at a time; one peer gets three quarters of them at most."""
    max_header_bytes: int = 256 * 1024
    """Header, trailer and verdict frames."""
    max_payload_bytes: int = 16 * 1024 * 1024 * 1024
    """Unless the handler expects less."""
    stream_idle_timeout: float = 60.0
    """Between two frames of a stream; and how long an unused stream connection is kept open."""
    # --- reads ---------------------------------------------------------------------------------------
    read_timeout: float = 30.0
    max_page: int = 1000
    max_response_bytes: int = 64 * 1024 * 1024
    max_responses_bytes: int = 256 * 1024 * 1024
    """Answers to all reads that are not sent yet, shared fairly among peers."""
    # --- the calling side ----------------------------------------------------------------------------
    dial_timeout: float = 5.0
    doubt_timeout: float = 3.0
    """How long a connection that may be dead has to show that it is not."""
    dial_stagger: float = 0.1
    """How long one address is tried alone before the next is tried beside it."""
    max_links: int = 256
    link_idle_timeout: float = 60.0
    max_waiting_calls: int = 8192
    """Calls of one link that wait for their answer."""
    max_idle_streams: int = 4
    """Stream connections to one host that are kept for the next transfer."""
