"""A program's listeners to a host's events, called on a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

from paglets.core.errors import PagletError
from paglets.core.resources import ResourceRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from paglets.core.context_events import ContextEvent, ContextEventLog

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000
_JOIN = 5.0
_CATCH_UP = 0.2
"""Seconds that a call of the program waits for listeners at most: a slow one delays it by no more."""
_LEAVING = frozenset({"dispatch", "retract", "deactivate", "dispose"})


class ListenerThread:
    """Passes events on to listeners, so that a slow one, or one that calls the host, blocks nobody.

    A call of the program returns when the listeners have seen what it caused, or a moment later if they are slow.

    The thread starts with the first listener. When more than 10 000 events wait, new ones are dropped and
    that is logged.
    """

    def __init__(self, log: ContextEventLog, name: str) -> None:
        self._source = log
        self._name = name
        self._listeners: list[tuple[Callable[[ContextEvent], None], Collection[str] | None]] = []
        self._wanted: Collection[str] | None = ()  # kinds of events that anybody listens to; None: all
        self._queue: queue.Queue[ContextEvent | Callable[[], None] | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._registries: dict[str, ResourceRegistry] | None = None

    def add(self, listener: Callable[[ContextEvent], None], *, kinds: Collection[str] | None = None) -> None:
        """Call ``listener`` for every event from now on, or for those of some kinds.

        Events that nobody listens to do not wake the thread: there may be one for each message.
        """
        with self._lock:
            self._listeners.append((listener, kinds))
            self._know_what_is_wanted()
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
                self._thread.start()
                self._source.add_listener(self._put)

    def remove(self, listener: Callable[[ContextEvent], None]) -> None:
        """Stop calling it; nothing happens when it is unknown."""
        with self._lock:
            found = next((each for each in self._listeners if each[0] == listener), None)
            if found is not None:
                self._listeners.remove(found)
                self._know_what_is_wanted()

    def _know_what_is_wanted(self) -> None:
        wanted: set[str] = set()
        for _, kinds in self._listeners:
            if kinds is None:
                self._wanted = None
                return
            wanted.update(kinds)
        self._wanted = frozenset(wanted)

    def clean_up_with(self, registries: dict[str, ResourceRegistry]) -> None:
        """From now on, clean up the registry of a paglet that leaves, is parked or disposed of."""
        if self._registries is None:
            self._registries = registries
            self.add(self._clean_up, kinds=_LEAVING)

    def registry(self, registries: dict[str, ResourceRegistry], agent_id: str) -> ResourceRegistry:
        """The registry of that paglet, made at first use."""
        with self._lock:
            return registries.setdefault(agent_id, ResourceRegistry())

    def drop_empty(self, registries: dict[str, ResourceRegistry], agent_id: str) -> None:
        """Forget the registry of that paglet if nothing is in it."""
        with self._lock:
            if not registries.get(agent_id, ()):
                registries.pop(agent_id, None)

    def _clean_up(self, event: ContextEvent) -> None:
        if self._registries is None or event.agent_id is None:
            return
        with self._lock:
            registry = self._registries.pop(event.agent_id, None)
        if registry is not None:
            registry.cleanup()

    def _put(self, event: ContextEvent) -> None:
        if self._wanted is not None and event.kind not in self._wanted:
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            logger.warning("listeners are too slow; an event was dropped", extra={"event_id": event.event_id})

    @property
    def can_catch_up(self) -> bool:
        """Whether the calling thread can wait for listeners: there are some, and it is none of them."""
        return self._thread is not None and threading.current_thread() is not self._thread

    async def caught_up(self) -> None:
        """Wait, on the loop, until the listeners have seen the events so far, or for a moment if they are slow."""
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(seen.set)

        with contextlib.suppress(queue.Full, TimeoutError):
            self._queue.put_nowait(tell)
            async with asyncio.timeout(_CATCH_UP):
                await seen.wait()

    def _main(self) -> None:
        while (item := self._queue.get()) is not None:
            if callable(item):
                item()
                continue
            with self._lock:
                listeners = list(self._listeners)
            for listener, kinds in listeners:
                if kinds is None or item.kind in kinds:
                    self._call(listener, item)

    def _call(self, listener: Callable[[ContextEvent], None], event: ContextEvent) -> None:
        try:
            listener(event)
        except PagletError as error:
            logger.warning("a listener failed", extra={"event_kind": event.kind, "error": str(error)})
        except Exception as error:
            logger.exception("a listener raised")
            if event.kind != "event-listener-failed":
                self._source.emit(
                    kind="event-listener-failed",
                    host_name=event.host_name,
                    host_address=event.host_address,
                    data={"event_id": event.event_id, "event_kind": event.kind},
                    error=f"{type(error).__name__}: {error}",
                )

    def close(self) -> None:
        """Pass on what waits, then end the thread; bounded."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._source.remove_listener(self._put)
            self._queue.put(None)
            thread.join(_JOIN)
