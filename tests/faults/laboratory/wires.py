"""What the hosts of the laboratory are connected by: a switch between namespaces, or the loopback of this machine."""

from __future__ import annotations

import socket
from typing import Protocol

from tests import netns

_PORT = 8765
_NOBODY = "02:00:00:00:00:63"
"""A hardware address that no machine has: frames to it get lost, and nobody is told."""


class Wires(Protocol):
    """Cables between machines that are known by their names."""

    what: str
    """For people: what this is."""
    can_cut: bool

    def endpoint(self, name: str) -> tuple[str, int]:
        """Where that machine's host listens."""
        ...

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command line that runs a program on that machine."""
        ...

    def cut(self, name: str, *, silently: bool) -> None:
        """Cut a machine off; its interface loses its carrier unless ``silently``."""
        ...

    def deafen(self, name: str, other: str) -> None:
        """What ``name`` sends to ``other`` gets lost from now on."""
        ...

    def heal(self, name: str) -> None:
        """Undo all that was done to a machine's cable and to what it sends."""
        ...

    def close(self) -> None:
        """Leave nothing of it."""
        ...


class Switched:
    """Each host has a network namespace of its own, as a machine of its own would."""

    what = "network namespaces on a switch"
    can_cut = True

    def __init__(self, names: tuple[str, ...]) -> None:
        self._network = netns.Network()
        try:
            self._devices = {name: self._network.device(at) for at, name in enumerate(names, 1)}
        except BaseException:
            self._network.close()
            raise
        self._deaf: dict[str, set[str]] = {name: set() for name in names}

    def endpoint(self, name: str) -> tuple[str, int]:
        return self._devices[name].address, _PORT

    def command(self, name: str, *arguments: str) -> list[str]:
        return self._devices[name].command(*arguments)

    def cut(self, name: str, *, silently: bool) -> None:
        if silently:
            for other in self._devices.keys() - {name}:
                self.deafen(name, other)
                self.deafen(other, name)
        else:
            self._devices[name].pull_cable()

    def deafen(self, name: str, other: str) -> None:
        self._devices[name].set_neighbour(self._devices[other].address, _NOBODY)
        self._deaf[name].add(other)

    def heal(self, name: str) -> None:
        self._devices[name].plug_cable()
        pairs = [
            (one, other) for one, others in self._deaf.items() for other in others if name in {one, other}
        ]
        for one, other in pairs:
            self._deaf[one].discard(other)
            self._devices[one].forget_neighbour(self._devices[other].address)

    def close(self) -> None:
        self._network.close()


class Looped:
    """All hosts share the loopback of this machine; nothing can be cut."""

    can_cut = False

    def __init__(self, names: tuple[str, ...], why: str) -> None:
        self.what = f"the loopback of this machine, whose links cannot be cut ({why})"
        self._ports = {name: _free_port() for name in names}

    def endpoint(self, name: str) -> tuple[str, int]:
        return "127.0.0.1", self._ports[name]

    def command(self, name: str, *arguments: str) -> list[str]:
        return list(arguments)

    def cut(self, name: str, *, silently: bool) -> None:
        raise NotImplementedError

    def deafen(self, name: str, other: str) -> None:
        raise NotImplementedError

    def heal(self, name: str) -> None:
        """There is nothing to heal."""

    def close(self) -> None:
        """Nothing of it stays."""


def wires(names: tuple[str, ...]) -> Wires:
    """The best that this machine allows."""
    why = netns.unavailable()
    return Looped(names, why) if why else Switched(names)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
