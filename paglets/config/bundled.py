"""What comes with the program: the launch configuration it brings, and the services it can name."""

from __future__ import annotations

from importlib import resources

BUNDLED_CLASSES = {
    "server-info": "paglets.system.server_info.agent:ServerInfo",
    "mesh-info": "paglets.system.mesh_info.agent:MeshInfo",
    "user-info": "paglets.system.user_info.agent:UserInfo",
}
"""Classes by the name that ``use`` gives them. Only names: this layer is below all paglets."""


def bundled_launch_config_text() -> str:
    """The launch configuration that comes with the program, as TOML text."""
    return resources.files("paglets.config").joinpath("launch.toml").read_text(encoding="utf-8")
