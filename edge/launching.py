"""The launch configuration of an appliance: a file of its operator's in the data directory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

LAUNCH_CONFIG_NAME = "launch.toml"


def own_launch_config(data_dir: Path) -> Path:
    """The file that says what a host with this data directory starts; at its first start, a copy of the bundled one.

    ``HostError`` when the directory or the file cannot be made.
    """
    from paglets.config.syncing import sync_launch_config  # noqa: PLC0415 - only a host needs it

    path = data_dir / LAUNCH_CONFIG_NAME
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"the data directory {data_dir} cannot be made: {error.strerror}; choose another one"
        ) from error
    sync_launch_config(path, interactive=False, output=_log)
    return path


def _log(message: str) -> None:
    logger.info("launch configuration", extra={"detail": message})
