"""What the appliance is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.remote.wire.addresses import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

EVERY_ADDRESS = ("",)


def _nobody(_status: Mapping[str, Any]) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class ApplianceSettings:
    """One appliance: every option of ``paglets host``, checked. Paths are absolute and may not exist yet."""

    name: str
    data_dir: Path
    mesh_dir: Path
    socket_path: Path
    """Where the local Unix socket goes; commands on this machine find it by the data directory."""
    port: int = DEFAULT_PORT
    """0: a free one."""
    bind: tuple[str, ...] = EVERY_ADDRESS
    """Addresses to listen on; the empty one stands for every address, IPv4 and IPv6."""
    peers: tuple[str, ...] = ()
    """URLs of hosts to try at the start, besides those that are discovered."""
    discovery: bool = True
    """Whether to advertise and browse by multicast DNS, and in the mesh directory for hosts of this machine."""
    code_paths: tuple[Path, ...] = ()
    """Directories that paglet classes are imported from, besides the built-in ones."""
    launch_config: Path | None = None
    """The file that says what to start; None: ``launch.toml`` in the data directory, made when it is missing."""
    mesh_version: str = ""
    """Code version of the mesh; empty: the release of this program."""
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    announce: Callable[[Mapping[str, Any]], None] = _nobody
    """Called once, when the host is ready, with what ``paglets status`` shows."""
