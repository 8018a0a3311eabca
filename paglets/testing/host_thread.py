"""A host on a thread and an event loop that the test kit made."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.host import Host

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class HostThread:
    """Starts one host, once, on a loop of that kind, and stops it."""

    def __init__(self, host: Host, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.host = host
        self._loop_factory = loop_factory
        self._started: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name=f"test host {host.name}", daemon=True)

    @property
    def runs(self) -> bool:
        """Whether it has started and nobody has stopped it, here or by itself."""
        try:
            return bool(self.host.health())
        except HostError:
            return False

    def start(self) -> None:
        """Returns when others can call it; raises what its start raises, and then leaves nothing."""
        self._thread.start()
        try:
            self._started.result(_START_SECONDS)
        except concurrent.futures.TimeoutError:
            raise HostError(f"host {self.host.name} did not start within {_START_SECONDS:g} s") from None

    def stop(self) -> None:
        """Stop it and end its thread; bounded, and harmless when repeated."""
        try:
            self.host.stop()
        finally:
            if self._started.done() and self._started.exception() is None:
                loop = self._started.result()
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._stop.set)
            if self._thread.is_alive():
                self._thread.join(_STOP_SECONDS)

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)  # who waits for the start gets it

    async def _serve(self) -> None:
        await self.host.start()
        self._started.set_result(asyncio.get_running_loop())
        await self._stop.wait()
