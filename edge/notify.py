"""Telling a service manager how the service is: sd_notify(3), in Python, over one datagram socket."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import MutableMapping

logger = logging.getLogger(__name__)


class Notifier:
    """Sends state changes to ``NOTIFY_SOCKET``; does nothing where there is none. Never raises, never waits.

    ``watchdog_seconds``: how often ``watchdog()`` has to be called at least, half of what systemd allows;
    None: nobody watches.
    """

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds
        self._address = address

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] | None = None) -> Self:
        """What the environment says, taken out of it: no child shall answer in this process's name."""
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", "")
        interval = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "")
        mine = not watched or watched == str(os.getpid())
        seconds = int(interval) / 2e6 if address and mine and interval.isascii() and interval.isdigit() else 0
        return cls(address, seconds or None)

    def ready(self, status: str = "") -> None:
        """Say that the service has started and can be used."""
        self._send({"READY": "1", "STATUS": status})

    def stopping(self, status: str = "") -> None:
        """Say that the service is going."""
        self._send({"STOPPING": "1", "STATUS": status})

    def status(self, status: str) -> None:
        """Say in a few words how it is; ``systemctl status`` shows it."""
        self._send({"STATUS": status})

    def watchdog(self) -> None:
        """Say that the service is well. To be called after real checks only."""
        self._send({"WATCHDOG": "1"})

    def _send(self, fields: dict[str, str]) -> None:
        if not self._address:
            return
        lines = [f"{name}={' '.join(value.split())}" for name, value in fields.items() if value]
        # A leading @ stands for the zero byte of an abstract address, unix(7).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(0)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            logger.warning(
                "the service manager cannot be told", extra={"socket": self._address, "reason": str(error)}
            )
