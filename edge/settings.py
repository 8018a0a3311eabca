"""What the appliance is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - settings are made of plain values by their annotations

from paglets.remote.wire.addresses import DEFAULT_PORT

EVERY_ADDRESS = ("",)


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
    properties: dict[str, str] = field(default_factory=dict[str, str])
    as_json: bool = False
    """Whether to print, once the host is ready, what ``paglets status`` shows, as one line of JSON."""
