"""A way to a host on which connections are cut after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from paglets.runtime.host import Host


class CuttingProxy:
    """Passes bytes on. Each connection is cut once it has carried as many as its turn in ``cuts`` says.

    Later connections are left alone. ``carried``: bytes of each connection, both ways together.
    """

    def __init__(self, host: Host, cuts: list[int]) -> None:
        self.carried: list[int] = []
        self._target = ("127.0.0.1", int(host.address.rpartition(":")[2]))
        self._cuts = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        # A thread in accept() holds the listener open: shutting it down wakes that thread.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            _cut(each)
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()

    def _start(self, work: object, *args: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                number = len(self.carried)
                self.carried.append(0)
                for source, target in ((near, far), (far, near)):
                    self._start(self._pass_on, number, source, target)

    def _pass_on(self, number: int, source: socket.socket, target: socket.socket) -> None:
        limit = self._cuts[number] if number < len(self._cuts) else None
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.carried[number] += len(data)
                target.sendall(data)
                if limit is not None and self.carried[number] >= limit:
                    break
        _cut(source)
        _cut(target)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
