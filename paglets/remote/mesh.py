"""The mesh as programs see it: hosts by name or URL, from any thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from paglets.core.errors import HostError
from paglets.remote.host_refs import HostRef
from paglets.remote.members import HostFacts, normal_url
from paglets.remote.mesh_view import MeshView, SeenHost
from paglets.remote.wire.addresses import HostAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from paglets.remote.mesh_service import MeshService

__all__ = ["HostRef", "LoopRunner", "MeshRegistry"]

T = TypeVar("T")

_CALL_TIMEOUT = 30.0


class LoopRunner(Protocol):
    """The way onto the host's loop."""

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine there and wait; ``HostError`` on the loop's own thread, closing the coroutine."""
        ...


class MeshRegistry:
    """The hosts of the mesh, for any thread.

    What only reads (``hosts``, ``lookup`` and the like) looks at a picture and never waits. What asks the
    host's loop (``join``, ``wait_for_host``, ``gossip_once``, ``add_seed``, ``register``, ``mark_offline``,
    ``refresh_self``) raises ``HostError`` on the loop's own thread.
    """

    def __init__(
        self, service: MeshService, runner: LoopRunner, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._runner = runner
        self._clock = clock

    # --- reading: never waits, any thread ----------------------------------------------------------------

    def hosts(self, *, online_only: bool = False, include_self: bool = True) -> list[HostRef]:
        """The hosts of this mesh code version, by name."""
        view = self._service.view
        refs = [_ref(seen) for seen in view.others if _compatible(view, seen)]
        if include_self:
            refs.append(self._self_ref(view))
        return sorted((ref for ref in refs if ref.online or not online_only), key=_by_name)

    def incompatible(self) -> list[HostRef]:
        """The hosts whose mesh code version differs from this one's: visible, and nothing is moved there."""
        view = self._service.view
        return sorted((_ref(seen) for seen in view.others if not _compatible(view, seen)), key=_by_name)

    def lookup(self, name_or_url: str) -> HostRef | None:
        """The host of that name or URL, if it is known and compatible.

        ``HostError`` when several hosts have the name and more or less than one of them is online.
        """
        view = self._service.view
        url = normal_url(name_or_url)
        if name_or_url == view.own.name and not self._namesakes(view, name_or_url, online=True):
            return self._self_ref(view)
        if url and url in view.own.urls():
            return self._self_ref(view)
        seen = self._find(view, name_or_url)
        return None if seen is None else _ref(seen)

    def resolve_url(self, name_or_url: str) -> str:
        """The URL of a host; a URL of nobody known comes back as it is. ``HostError`` for an unknown name."""
        ref = self.lookup(name_or_url)
        if ref is not None:
            return ref.url
        view = self._service.view
        for other in self.incompatible():
            if name_or_url == other.name or normal_url(name_or_url) == other.url:
                raise HostError(
                    f"host {other.name} ({other.url}) runs mesh code version {other.code_version!r}, "
                    f"this host {view.own.code_version!r}; nothing is moved between them"
                )
        url = normal_url(name_or_url)
        if url:
            return url
        known = ", ".join(ref.name for ref in self.hosts())
        raise HostError(f"no host of this mesh is called {name_or_url!r}; known: {known}")

    def address_of(self, name_or_url: str) -> HostAddress:
        """Where to dial, and which key to insist on if the host is known; errors as ``resolve_url``."""
        view = self._service.view
        url = self.resolve_url(name_or_url)
        if url in view.own.urls():
            return HostAddress(url, view.own.host_id)
        for seen in sorted(view.others, key=lambda seen: not seen.online):
            if url == seen.url or url in seen.urls:
                others = tuple(other for other in seen.urls if other != url)
                return HostAddress(url, seen.facts.host_id or None, others)
        return HostAddress(url)

    def is_online(self, name_or_url: str) -> bool:
        """Whether a host is known, compatible and can be reached."""
        ref = self.lookup(name_or_url)
        return ref is not None and ref.online

    def peer_urls(self) -> list[str]:
        """The URLs of the other hosts that are known, and of the seeds that nobody answered at yet."""
        view = self._service.view
        reached = {url for seen in view.others for url in seen.urls}
        return [*(seen.url for seen in view.others), *(url for url in view.seeds if url not in reached)]

    # --- asking the loop: any thread but the loop's -------------------------------------------------------

    def wait_for_host(self, name: str, *, timeout: float = 10.0, interval: float = 0.25) -> HostRef:
        """Wait until a host of that name or URL is online; ``HostError`` when it is not in time."""
        self._call(self._service.nudge())
        deadline = time.monotonic() + timeout
        while True:
            ref = self.lookup(name)
            if ref is not None and ref.online:
                return ref
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                why = f": {ref.error}" if ref is not None and ref.error else ""
                raise HostError(f"host {name!r} was not online within {timeout:g} s{why}")
            with self._service.changed:
                self._service.changed.wait(min(interval, remaining))

    def add_seed(self, url: str) -> None:
        """Look for a host at this URL from now on, without waiting; ``HostError`` for what is no URL."""
        self._call(self._service.seed(url))

    def join(self, url: str, *, timeout: float = 10.0) -> None:
        """Make a host known by its URL, and whom it knows; ``HostError`` when it cannot be reached."""
        self._call(self._service.join(url, timeout=timeout))

    def register(self, ref: HostRef) -> None:
        """Take in a host that the program knows of, as it says, until the host itself is met."""
        url = normal_url(ref.url)
        if not url:
            raise HostError(f"{ref.url!r} is no host URL; it looks like https://ADDRESS:PORT")
        facts = HostFacts(
            host_id="",
            name=ref.name,
            url=url,
            code_version=ref.code_version,
            active_count=ref.active_count,
            inactive_count=ref.inactive_count,
            tags=ref.tags,
            properties=ref.properties,
        )
        self._call(
            self._service.register(SeenHost(facts, url, (url,), ref.online, ref.last_seen, ref.error or ""))
        )

    def mark_offline(self, url: str, error: str) -> None:
        """Say that the host at ``url`` cannot be reached; its next sign of life says otherwise."""
        self._call(self._service.mark_offline(url, error))

    def refresh_self(self) -> HostRef:
        """Look at this host's counts, tags and addresses again, and tell the mesh."""
        self._call(self._service.refresh_now())
        return self._self_ref(self._service.view)

    def gossip_once(self) -> None:
        """Exchange with every known host now; one that cannot be reached is marked offline with the error."""
        self._call(self._service.survey())

    # --- inside ---------------------------------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        self._runner.run(work, _CALL_TIMEOUT)

    def _find(self, view: MeshView, name_or_url: str) -> SeenHost | None:
        url = normal_url(name_or_url)
        if url:
            at = [seen for seen in view.others if _compatible(view, seen) and url in (seen.url, *seen.urls)]
            return max(at, key=lambda seen: (seen.online, seen.last_seen), default=None)
        online = self._namesakes(view, name_or_url, online=True)
        found = online or self._namesakes(view, name_or_url, online=False)
        if len(found) > 1 or (online and name_or_url == view.own.name):
            where = ", ".join(
                sorted([seen.url for seen in found] + [view.own.url] * (name_or_url == view.own.name))
            )
            raise HostError(f"several hosts are called {name_or_url!r} ({where}); use the URL, or rename one")
        return found[0] if found else None

    def _namesakes(self, view: MeshView, name: str, *, online: bool) -> list[SeenHost]:
        return [
            seen
            for seen in view.others
            if seen.facts.name == name and seen.online == online and _compatible(view, seen)
        ]

    def _self_ref(self, view: MeshView) -> HostRef:
        """This host as it is now, which may be newer than what the mesh was told."""
        own = self._service.own_facts() or view.own
        return _ref(SeenHost(own, own.url, own.urls(), online=True, last_seen=self._clock()))


def _compatible(view: MeshView, seen: SeenHost) -> bool:
    return seen.facts.code_version == view.own.code_version


def _by_name(ref: HostRef) -> tuple[str, str]:
    return (ref.name, ref.url)


def _ref(seen: SeenHost) -> HostRef:
    facts = seen.facts
    return HostRef(
        name=facts.name,
        url=seen.url,
        code_version=facts.code_version,
        online=seen.online,
        last_seen=seen.last_seen,
        active_count=facts.active_count,
        inactive_count=facts.inactive_count,
        tags=facts.tags,
        properties=facts.properties,
        error=seen.error or None,
    )
