"""What proxies call through that a program got from its host before it started it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.remote.moved import MovedReply

if TYPE_CHECKING:
    import concurrent.futures

    import msgspec

    from paglets.core.artifact_desk import ArtifactDesk
    from paglets.runtime.host_life import HostLife


class EarlyClient:
    """A ``ProxyClient`` for the paglets of one host that has no address yet.

    Until the host has started, calls raise ``HostError``; from then on they are the host's, and the proxy
    learns from the first answer where that is.
    """

    def __init__(self, life: HostLife) -> None:
        self._life = life

    def call(self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None) -> bytes:
        """Call the host itself, or, once the proxy knows better, the host that it names."""
        raw = self._life.client.call(self._at(host_url), method, params, timeout=timeout)
        return raw if host_url or isinstance(raw, MovedReply) else MovedReply.at(raw, self._life.address)

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        """The same without waiting."""
        return self._life.client.submit(self._at(host_url), method, params, timeout=timeout)

    @property
    def artifact_desk(self) -> ArtifactDesk:
        """The host's."""
        return self._life.client.artifact_desk

    @property
    def local_url(self) -> str:
        """The host's address; empty before it has one, as in the proxies."""
        return self._life.last_address

    def _at(self, host_url: str) -> str:
        return host_url or self._life.address
