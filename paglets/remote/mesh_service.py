"""The mesh part of a host: runs the membership machine on the host's loop.

It owns the machine, its timer, the heartbeats under way and the discoveries; it publishes an immutable
picture of the mesh after every change. Everything here runs on the host's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from paglets.core.errors import HostError, PagletError
from paglets.remote import api
from paglets.remote.discovery import AddressHint, Advertisement, Discovery
from paglets.remote.members import (
    MAX_GOSSIP_BYTES,
    Gossip,
    HostFacts,
    MemberFact,
    ProbeParams,
    ProbeResult,
    fact_problem,
    normal_url,
)
from paglets.remote.membership import Membership
from paglets.remote.membership_effects import (
    Effect,
    Goodbye,
    MembershipSettings,
    MeshEvent,
    Ping,
    PingVia,
)
from paglets.remote.mesh_view import MeshView, SeenHost, draw
from paglets.remote.wire.addresses import HostAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

logger = logging.getLogger(__name__)

MAX_PROXIED_PROBES = 16
"""Probes on behalf of others at the same time."""


class MeshTransport(Protocol):
    """How the mesh talks to other hosts: over pooled control links."""

    async def call(
        self, address: HostAddress, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> bytes:
        """Call an operation of another host; its JSON result. Raises ``PagletError`` or ``OSError``."""
        ...


def _nothing() -> str:
    """The digest of a host that keeps no revocations."""
    return ""


class MeshService:
    """Membership of one host, running.

    ``revocations`` gives the digest of what this host knows; ``on_other_revocations(host_id, digest)`` hears of
    a member that knows something else.
    """

    def __init__(
        self,
        transport: MeshTransport,
        facts: Callable[[], HostFacts],
        settings: MembershipSettings,
        *,
        on_event: Callable[[MeshEvent], None] | None = None,
        discoveries: Sequence[Discovery] = (),
        admits: Callable[[str], bool] | None = None,
        revocations: Callable[[], str] = _nothing,
        on_other_revocations: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changed = threading.Condition()
        """Notified after every change of ``view``; any thread may wait on it."""
        self._transport = transport
        self._facts = facts
        self._settings = settings
        self._on_event = on_event
        self._discoveries = tuple(discoveries)
        self._revocations = revocations
        self._on_other_revocations = on_other_revocations
        self._clock = clock
        self._machine = Membership(
            settings, _checked(facts()), now=clock(), random=random.SystemRandom(), admits=admits
        )
        self._calls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._news: asyncio.Future[None] | None = None
        self._proxied = 0
        self._counted_at = clock()
        self._registered: dict[str, SeenHost] = {}
        self._changes = 0
        self._drawn = 0, MeshView(self._machine.own.facts)
        """The last picture, and after how many changes it was drawn."""

    @property
    def view(self) -> MeshView:
        """The mesh as it is now; any thread may read it.

        Drawn when it is looked at: every heartbeat changes it, and a large mesh is not drawn for each.
        """
        changes, (drawn, view) = self._changes, self._drawn
        if drawn != changes:
            view = draw(self._machine, tuple(self._registered.values()), self._clock())
            self._drawn = changes, view
        return view

    def own_facts(self) -> HostFacts | None:
        """What this host says of itself now; None when it cannot say any more. Any thread may ask."""
        try:
            return self._facts()
        except PagletError:
            return None

    # --- life -----------------------------------------------------------------------------------------

    async def start(self, advertisement: Advertisement | None = None, *, peers: Sequence[str] = ()) -> None:
        """Begin: try the peers, and start the discoveries if there is something to advertise."""
        self._wake = asyncio.Event()
        self.refresh()
        self._timer = asyncio.create_task(self._run(self._wake), name="mesh")
        for url in peers:
            self.add_seed(url)
        if advertisement is not None:
            for discovery in self._discoveries:
                try:
                    await discovery.start(advertisement, self.hint)
                except Exception:
                    logger.exception(
                        "a discovery did not start", extra={"discovery": type(discovery).__name__}
                    )

    async def stop(self, *, timeout: float = 2.0) -> None:
        """Say goodbye to some members, stop the discoveries, end every task; within ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                farewells = self._perform(self._machine.leave(timeout=timeout / 2))
                await asyncio.gather(
                    *(discovery.stop() for discovery in self._discoveries), return_exceptions=True
                )
                await asyncio.gather(*farewells, return_exceptions=True)
        tasks = [*self._calls, *([self._timer] if self._timer else [])]
        self._timer = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what other hosts ask -------------------------------------------------------------------------

    async def on_ping(self, peer_id: str, gossip: Gossip) -> Gossip:
        """``mesh.ping``; ``peer_id`` is the key that the link was authenticated with."""
        try:
            answer, effects = self._machine.received(self._clock(), peer_id, gossip)
        except ValueError as error:
            raise HostError(str(error)) from error
        self._perform(effects)
        return self._stamped(answer)

    async def on_probe(self, peer_id: str, params: ProbeParams) -> ProbeResult:
        """``mesh.probe``: ping a member for somebody who cannot reach it."""
        if peer_id not in self._machine.table.members:
            return ProbeResult(reached=False, error="you are not known here yet")
        member = self._machine.table.members.get(params.host_id)
        if member is None or not member.fact.up:
            return ProbeResult(reached=False, error=f"{params.host_id[:64]} is not known here")
        if self._proxied >= MAX_PROXIED_PROBES:
            return ProbeResult(reached=False, error="too many probes at once")
        self._proxied += 1
        try:
            gossip = self._machine.gossip_for(params.host_id)
            timeout = min(max(params.timeout, 0.01), self._settings.call_timeout)
            await self._call_ping(params.host_id, member.urls, gossip, timeout)
        except (PagletError, OSError, msgspec.MsgspecError) as error:
            return ProbeResult(reached=False, error=_sentence(error))
        finally:
            self._proxied -= 1
        return ProbeResult(reached=True)

    async def on_goodbye(self, peer_id: str, params: api.GoodbyeParams) -> None:
        """``mesh.goodbye``: that member leaves."""
        logger.info("a host said goodbye", extra={"host_id": peer_id, "reason": params.reason[:200]})
        self._perform(self._machine.goodbye(self._clock(), peer_id))

    # --- what the host tells --------------------------------------------------------------------------

    def peer_hello(self, hello: api.HelloParams) -> None:
        """An authenticated link with another host was opened, by either side, and this is what it said."""
        facts = HostFacts(hello.host_id, hello.name, hello.url, tuple(hello.addresses), hello.code_version)
        self._perform(self._machine.hello(facts))

    def link_lost(self, host_id: str) -> None:
        """The link to a host broke."""
        self._perform(self._machine.link_lost(host_id))

    def evict(self, host_id: str) -> None:
        """A host's key was revoked."""
        self._perform(self._machine.evict(host_id))

    def hint(self, hint: AddressHint) -> None:
        """A host may be there."""
        self._perform(self._machine.hint(self._clock(), hint))

    def add_seed(self, url: str) -> None:
        """A host is there, says the person who runs this one; ``HostError`` for what is no URL."""
        if not normal_url(url):
            raise HostError(f"{url!r} is no host URL; it looks like https://ADDRESS:PORT")
        self._perform(self._machine.hint(self._clock(), AddressHint(url), seed=True))

    async def advertise(self, advertisement: Advertisement) -> None:
        """Let the discoveries say something else from now on."""
        for discovery in self._discoveries:
            await discovery.update(advertisement)

    def refresh(self) -> None:
        """Look at what this host says of itself, and tell the mesh when it changed."""
        facts = _checked(self._facts())
        self._perform(self._machine.update(facts))

    # --- what programs ask (through MeshRegistry) -------------------------------------------------------

    async def join(self, url: str, *, timeout: float = 10.0) -> None:
        """Make a host known by its URL, and whom it knows; ``HostError`` when it cannot be reached."""
        self.add_seed(url)
        lead = self._machine.hints.leads[(normal_url(url), "")]
        lead.error = ""
        if not lead.dialling:
            lead.due_at = self._clock()
            self._perform(self._machine.tick(self._clock()))
        try:
            async with asyncio.timeout(timeout):
                while not lead.error and not self._machine.knows(lead):
                    await self._next_news()
        except TimeoutError:
            raise HostError(f"{url} did not answer within {timeout:g} s") from None
        if lead.error:
            raise HostError(f"{url} cannot be reached: {lead.error}")

    async def meet(self, *, timeout: float) -> None:
        """Wait until whoever was found so far is known, or did not answer; at most ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while any(
                    not lead.error and not self._machine.knows(lead)
                    for lead in self._machine.hints.leads.values()
                ):
                    await self._next_news()

    async def seed(self, url: str) -> None:
        """``add_seed``, for another thread."""
        self.add_seed(url)

    async def nudge(self) -> None:
        """Do at once what is due soon."""
        self._perform(self._machine.tick(self._clock()))

    async def refresh_now(self) -> None:
        """``refresh``, for another thread."""
        self.refresh()

    async def survey(self) -> None:
        """Exchange with every known host now; one that cannot be reached is marked so."""
        self.refresh()
        self._perform(self._machine.survey())
        for _ in range(
            2
        ):  # who is met for the first time is asked twice: who it is, then insisting on that key
            if self._calls:  # also what was on its way: a seed that was just added is being dialled
                await asyncio.wait(tuple(self._calls))
        for lead in self._machine.hints.leads.values():
            registered = self._registered.get(lead.url)
            if registered is not None and lead.error:
                self._registered[lead.url] = dataclasses.replace(registered, online=False, error=lead.error)
        self._publish()

    async def mark_offline(self, url: str, error: str) -> None:
        """Somebody found that the host at ``url`` cannot be reached."""
        for seen in self.view.others:
            if normal_url(url) in seen.urls and seen.facts.host_id:
                self._perform(self._machine.mark_unreachable(self._clock(), seen.facts.host_id, error))
        registered = self._registered.get(normal_url(url))
        if registered is not None:
            self._registered[registered.url] = dataclasses.replace(registered, online=False, error=error)
        self._publish()

    async def register(self, seen: SeenHost) -> None:
        """Take a host in that a program knows of, until it is met itself."""
        self._registered[seen.url] = seen
        self.add_seed(seen.url)

    # --- the shell --------------------------------------------------------------------------------------

    async def _run(self, wake: asyncio.Event) -> None:
        """Tick when something is due."""
        while True:
            wake.clear()
            now = self._clock()
            delay = self._machine.next_wakeup(now) - now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(delay, 0.005), 3600.0)):
                    await wake.wait()
            if self._machine.table.members and self._clock() - self._counted_at >= self._settings.period:
                self._counted_at = self._clock()
                self.refresh()
            self._perform(self._machine.tick(self._clock()))

    def _perform(self, effects: list[Effect]) -> list[asyncio.Task[None]]:
        """Bring the machine's effects about; returns the tasks that were started."""
        tasks: list[asyncio.Task[None]] = []
        for effect in effects:
            match effect:
                case MeshEvent():
                    self._tell(effect)
                case Ping():
                    tasks.append(self._spawn(self._ping(effect)))
                case PingVia():
                    tasks.append(self._spawn(self._ping_via(effect)))
                case Goodbye():
                    tasks.append(self._spawn(self._say_goodbye(effect)))
        self._publish()
        if self._wake is not None:
            self._wake.set()
        return tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    def _tell(self, event: MeshEvent) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            logger.exception("a mesh event could not be told", extra={"kind": event.kind.value})

    async def _call_ping(self, host_id: str, urls: tuple[str, ...], gossip: Gossip, timeout: float) -> Gossip:
        address = HostAddress(urls[0], host_id or None, urls[1:])
        async with asyncio.timeout(timeout):
            raw = await self._transport.call(address, api.MESH_PING, self._stamped(gossip), timeout=timeout)
        if len(raw) > MAX_GOSSIP_BYTES:
            raise HostError(f"a heartbeat of {len(raw)} bytes is too large")
        answer = msgspec.json.decode(raw, type=Gossip)
        # Who asked does the work: it has a link, and one of the two is enough.
        if answer.revocations != self._revocations() and self._on_other_revocations is not None:
            self._on_other_revocations(answer.sender.host_id, answer.revocations)
        return answer

    def _stamped(self, gossip: Gossip) -> Gossip:
        return msgspec.structs.replace(gossip, revocations=self._revocations())

    async def _ping(self, ping: Ping) -> None:
        try:
            answer = await self._call_ping(ping.host_id, ping.urls, ping.gossip, ping.timeout)
        except (PagletError, OSError, msgspec.MsgspecError) as error:
            self._perform(self._machine.unanswered(self._clock(), ping.token, _sentence(error)))
            return
        except Exception as error:
            logger.exception("a heartbeat failed in an unforeseen way", extra={"host_id": ping.host_id})
            self._perform(self._machine.unanswered(self._clock(), ping.token, _sentence(error)))
            return
        url = ping.urls[0] if len(ping.urls) == 1 else ""
        self._perform(self._machine.answered(self._clock(), ping.token, url, answer))

    async def _ping_via(self, ping: PingVia) -> None:
        params = ProbeParams(host_id=ping.target, timeout=ping.timeout)
        address = HostAddress(ping.urls[0], ping.host_id, ping.urls[1:])
        result = ProbeResult(reached=False)
        try:
            async with asyncio.timeout(ping.timeout * 2):
                raw = await self._transport.call(address, api.MESH_PROBE, params, timeout=ping.timeout * 2)
            result = msgspec.json.decode(raw, type=ProbeResult)
        except (PagletError, OSError, msgspec.MsgspecError) as error:
            result = ProbeResult(reached=False, error=_sentence(error))
        except Exception:
            logger.exception("an indirect probe failed in an unforeseen way", extra={"host_id": ping.target})
        now = self._clock()
        self._perform(self._machine.probed_via(now, ping.token, reached=result.reached, error=result.error))

    async def _say_goodbye(self, goodbye: Goodbye) -> None:
        address = HostAddress(goodbye.urls[0], goodbye.host_id, goodbye.urls[1:])
        with contextlib.suppress(PagletError, OSError):
            async with asyncio.timeout(goodbye.timeout):
                await self._transport.call(
                    address, api.MESH_GOODBYE, api.GoodbyeParams(), timeout=goodbye.timeout
                )

    async def _next_news(self) -> None:
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _publish(self) -> None:
        """Have the picture drawn anew when it is next looked at, and tell whoever waits."""
        self._changes += 1
        if self._news is not None:
            self._news.set_result(None)
            self._news = None
        with self.changed:
            self.changed.notify_all()


def _checked(facts: HostFacts) -> HostFacts:
    problem = fact_problem(MemberFact(facts))
    if problem:
        raise HostError(f"host {facts.name!r} cannot be announced to the mesh: {problem}")
    return facts


def _sentence(error: BaseException) -> str:
    return str(error) or type(error).__name__
