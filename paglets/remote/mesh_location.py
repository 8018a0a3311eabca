"""Where a user's mesh directory is."""

from __future__ import annotations

import os
from pathlib import Path

MESH_DIR_VARIABLE = "PAGLETS_MESH_DIR"


def default_mesh_path() -> Path:
    """``PAGLETS_MESH_DIR``, else ``paglets/mesh`` in the user's configuration directory."""
    named = os.environ.get(MESH_DIR_VARIABLE)
    if named:
        return Path(named)
    from platformdirs import user_config_path  # noqa: PLC0415 - a start that names its directory needs it not

    return user_config_path("paglets") / "mesh"
