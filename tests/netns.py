"""Small networks of network namespaces, for tests: hosts on a switch, with cables that can be pulled.

Everything lives in namespaces of its own, so nothing of the machine's network is seen or touched. Needs
root and iproute2; ``unavailable()`` says why it cannot be, for ``pytest.skip``.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_counter = itertools.count()


def _ip(*arguments: str) -> None:
    command = ["ip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


@functools.cache
def unavailable() -> str:
    """Why namespaces cannot be made here; empty when they can."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    name = f"pgt{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except RuntimeError as error:
        return f"network namespaces cannot be made: {error}"
    return ""


class Device:
    """A machine on the switch: a namespace with ``lo`` and ``eth0``."""

    def __init__(self, switch: str, number: int, *, prefix: str, up: bool) -> None:
        self.namespace = f"{prefix}h{number}"
        self.address = f"10.99.0.{number}"
        self._switch = switch
        self._port = f"port{number}"
        _ip("netns", "add", self.namespace)
        _ip("-n", switch, "link", "add", self._port, "type", "veth", "peer", "eth0", "netns", self.namespace)
        _ip("-n", switch, "link", "set", self._port, "master", "br0", "up")
        _ip("-n", self.namespace, "link", "set", "lo", "up")
        _ip("-n", self.namespace, "addr", "add", f"{self.address}/24", "dev", "eth0")
        if up:
            self.link_up()

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs a program on this machine."""
        return ["ip", "netns", "exec", self.namespace, *arguments]

    def link_up(self) -> None:
        """Switch the interface on."""
        _ip("-n", self.namespace, "link", "set", "eth0", "up")

    def link_down(self) -> None:
        """Switch the interface off."""
        _ip("-n", self.namespace, "link", "set", "eth0", "down")

    def pull_cable(self) -> None:
        """The interface stays on but loses its carrier."""
        _ip("-n", self._switch, "link", "set", self._port, "down")

    def plug_cable(self) -> None:
        """And has it again."""
        _ip("-n", self._switch, "link", "set", self._port, "up")

    def set_neighbour(self, address: str, hardware: str) -> None:
        """Send what is meant for that address to that hardware address, whoever has it."""
        _ip(
            "-n",
            self.namespace,
            "neigh",
            "replace",
            address,
            "lladdr",
            hardware,
            "dev",
            "eth0",
            "nud",
            "permanent",
        )

    def forget_neighbour(self, address: str) -> None:
        """Look for that address on the network again."""
        with contextlib.suppress(RuntimeError):
            _ip("-n", self.namespace, "neigh", "del", address, "dev", "eth0")

    def add_address(self, address: str) -> None:
        """Give the interface another address, ``A.B.C.D/N``."""
        _ip("-n", self.namespace, "addr", "add", address, "dev", "eth0")

    def remove_address(self, address: str) -> None:
        """And take it away."""
        _ip("-n", self.namespace, "addr", "del", address, "dev", "eth0")


class Network:
    """A switch, and the machines on it."""

    def __init__(self) -> None:
        self._prefix = f"pg{os.getpid()}x{next(_counter)}"
        self._switch = f"{self._prefix}sw"
        self._namespaces: list[str] = []
        _ip("netns", "add", self._switch)
        self._namespaces.append(self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        _ip("-n", self._switch, "link", "set", "br0", "up")

    def device(self, number: int, *, up: bool = True) -> Device:
        """Add machine ``number`` (1 to 254) at ``10.99.0.NUMBER``; ``up``: with its interface on."""
        self._namespaces.append(f"{self._prefix}h{number}")
        return Device(self._switch, number, prefix=self._prefix, up=up)

    def break_switch(self) -> None:
        """No frame passes any more, and no machine loses its carrier."""
        _ip("-n", self._switch, "link", "set", "br0", "down")

    def mend_switch(self) -> None:
        """Frames pass again, and nobody is told."""
        _ip("-n", self._switch, "link", "set", "br0", "up")

    def close(self) -> None:
        """Remove all namespaces; processes in them are the caller's to end first."""
        for name in reversed(self._namespaces):
            with contextlib.suppress(RuntimeError):
                _ip("netns", "del", name)
        self._namespaces.clear()


@contextlib.contextmanager
def network() -> Generator[Network]:
    """A network for the length of a test."""
    net = Network()
    try:
        yield net
    finally:
        net.close()


@contextlib.contextmanager
def process(device: Device, arguments: Sequence[str]) -> Generator[subprocess.Popen[str]]:
    """A program on a machine, with text pipes; killed at the end if it still runs."""
    with subprocess.Popen(
        device.command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()
