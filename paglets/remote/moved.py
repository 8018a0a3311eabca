"""A raw result that also tells where the paglet is now."""

from __future__ import annotations


class MovedReply(bytes):
    """The raw JSON result of a call that followed a forward; the caller's proxy learns ``host_url`` from it.

    A ``ProxyClient`` returns ``bytes``, and this is some: who does not care need not look.
    """

    host_url: str
    """Where the paglet answered."""

    @classmethod
    def at(cls, result: bytes, host_url: str) -> MovedReply:
        """``result``, given by a paglet that is at ``host_url`` now."""
        reply = cls(result)
        reply.host_url = host_url
        return reply
