"""From what a program or a composition root says of a host to settings that a host can be made of."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from paglets.config.launch_config import AutoStartSpec, LaunchConfig
from paglets.config.reading import load_launch_config
from paglets.config.resolving import resolve_resident_service, resolve_startup_agent
from paglets.core.errors import HostError
from paglets.core.version import VERSION
from paglets.runtime.host_names import require_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paglets.persistence.store import Store
    from paglets.remote.client import HostClient
    from paglets.remote.discovery import Discovery
    from paglets.runtime.launchers.launcher import Launcher
    from paglets.runtime.settings import HostSettings

MAX_PORT = 65535


@dataclasses.dataclass(frozen=True, slots=True)
class Provided:
    """What a program may bring instead of the defaults."""

    client: HostClient | None = None
    mesh_dir: str | Path | None = None
    launcher: Launcher | None = None
    discoveries: Sequence[Discovery] = ()
    store: Store | None = None
    rendezvous: bool = False
    """Whether to meet the running hosts of the same mesh directory, through a folder in it."""
    temporary: bool = False
    """Whether the data directory is made, below the one of the settings, and goes with the host."""


def complete(settings: HostSettings) -> HostSettings:
    """The settings as a host uses them: checked, tags as the mesh has them, and a code version.

    The code version is the release's, without its last part, unless somebody said otherwise. ``HostError``
    for a name or port that no host can have; nothing was made by then.
    """
    require_name(settings.name)
    if not 0 <= settings.port <= MAX_PORT:
        raise HostError(f"{settings.port} is no port: use 1 to {MAX_PORT}, or 0 for a free one")
    return dataclasses.replace(
        settings,
        mesh_version=settings.mesh_version or ".".join(VERSION.split(".")[:2]),
        tags=tuple(sorted({tag.strip().lower() for tag in settings.tags if tag.strip()})),
    )


def data_dir(persistence_dir: str | Path | None) -> Path:
    """Where a host's data is; without a directory of its own, where temporary ones are made."""
    return Path(tempfile.gettempdir() if persistence_dir is None else persistence_dir)


def seeds(connect_to: str | Sequence[str] | None, peers: Iterable[str] | None) -> tuple[str, ...]:
    """The URLs to meet at the start: one or several, and more."""
    first = (connect_to,) if isinstance(connect_to, str) else tuple(connect_to or ())
    return (*first, *(peers or ()))


class Launches(NamedTuple):
    """What a host is to start by itself."""

    startup_agents: tuple[AutoStartSpec, ...] = ()
    resident_services: tuple[AutoStartSpec, ...] = ()


def launches(config: LaunchConfig | str | Path | None) -> Launches:
    """What a launch configuration, or the file with one, enables; ``HostError`` naming what is wrong in it."""
    if config is None:
        return Launches()
    if not isinstance(config, LaunchConfig):
        config = load_launch_config(Path(config))
    return Launches(
        tuple(resolve_startup_agent(each) for each in config.startup_agents if each.enabled),
        tuple(resolve_resident_service(each) for each in config.resident_services if each.enabled),
    )


def code_roots(paths: Iterable[str | Path] | None) -> tuple[Path, ...] | None:
    """Directories that classes may come from; None: any importable module."""
    return None if paths is None else tuple(Path(path) for path in paths)
