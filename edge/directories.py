"""Where things are: data, mesh credentials, and the local socket of a host.

================  ========================================================================================
data of a host    ``--data-dir``, else ``STATE_DIRECTORY`` (systemd), else ``PAGLETS_DATA_DIR``, else the
                  user's data directory (``~/.local/share/paglets``)
mesh credentials  ``--mesh-dir``, else ``PAGLETS_MESH_DIR``, else ``mesh`` in the state directory of a service
                  without a home, else the user's configuration directory (``~/.config/paglets/mesh``)
local socket      ``paglets/HASH.sock`` in ``XDG_RUNTIME_DIR``, else ``/run/paglets/HASH.sock``, else, for
                  users who have neither, ``/tmp/paglets-UID/HASH.sock``; HASH is of the data directory's path
================  ========================================================================================

A command that talks to a host looks in ``--data-dir``, else ``PAGLETS_DATA_DIR``, and nowhere else when one
is given; otherwise for the user's own host, then for the system service's.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.remote.mesh_location import MESH_DIR_VARIABLE, default_mesh_path

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA_DIR_VARIABLE = "PAGLETS_DATA_DIR"
STATE_DIRECTORY_VARIABLE = "STATE_DIRECTORY"
SYSTEM_DATA_DIR = Path("/var/lib/paglets")
"""Data directory of the system service, see ``systemd/paglets.service``."""
SYSTEM_RUNTIME_DIR = Path("/run/paglets")

MAX_SOCKET_PATH = 107
"""Bytes that the path of a Unix socket may have: ``sun_path`` less its final zero, unix(7)."""


def host_data_dir(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The data directory of a host that starts here: absolute, not made yet. For the order see above."""
    named = option or _state_directory(environ) or _variable(environ, DATA_DIR_VARIABLE)
    return _absolute(named) if named is not None else user_data_dir()


def mesh_dir(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The mesh directory of a host that starts here: absolute, not made yet. For the order see above."""
    named = option or _variable(environ, MESH_DIR_VARIABLE)
    if named is None:
        state = _state_directory(environ)
        # systemd leaves a service's HOME unset, or says "/", when its user has none.
        homeless = environ.get("HOME", "/") == "/"
        named = state / "mesh" if state is not None and homeless else default_mesh_path()
    return _absolute(named)


def user_data_dir() -> Path:
    """The data directory of this user's own host."""
    from platformdirs import user_data_path  # noqa: PLC0415 - a start that names its directory needs it not

    return _absolute(user_data_path("paglets"))


def data_dirs_to_try(option: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """The data directories in which a command looks for its host, first match wins."""
    named = option or _variable(environ, DATA_DIR_VARIABLE)
    if named is not None:
        return [_absolute(named)]
    return list(dict.fromkeys([user_data_dir(), SYSTEM_DATA_DIR]))


def socket_path(data_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where a host with this data directory listens; ``HostError`` when no path is short enough."""
    return socket_candidates(data_dir, environ)[0]


def socket_candidates(data_dir: Path, environ: Mapping[str, str]) -> list[Path]:
    """Where a host with this data directory may listen, the most likely path first.

    The first is where one started in this environment does; the others, where one started by another session
    or by the system does. ``HostError`` when none is short enough for a socket.
    """
    digest = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:16]
    candidates = [directory / f"{digest}.sock" for directory in _runtime_dirs(environ)]
    fitting = [path for path in candidates if len(os.fsencode(path)) <= MAX_SOCKET_PATH]
    if not fitting:
        raise HostError(
            f"{candidates[0].parent} is too long for a socket; set XDG_RUNTIME_DIR to a shorter directory"
        )
    return fitting


def _runtime_dirs(environ: Mapping[str, str]) -> list[Path]:
    user = os.getuid() if hasattr(os, "getuid") else 0
    service = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    session = _variable(environ, "XDG_RUNTIME_DIR")
    login = Path(f"/run/user/{user}")
    directories: list[Path] = []
    if service:
        directories.append(Path(service))
    if session is not None and session.is_absolute():
        directories.append(session / "paglets")
    if user == 0:
        directories.append(SYSTEM_RUNTIME_DIR)
    if login.is_dir():
        directories.append(login / "paglets")
    if user != 0:
        directories += [Path(f"/tmp/paglets-{user}"), SYSTEM_RUNTIME_DIR]  # noqa: S108 - its owner is checked
    return list(dict.fromkeys(directories))


def _state_directory(environ: Mapping[str, str]) -> Path | None:
    """The first of systemd's state directories, systemd.exec(5)."""
    first = environ.get(STATE_DIRECTORY_VARIABLE, "").split(":")[0]
    return Path(first) if first else None


def _variable(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(value) if value else None


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links, which may change
