"""Brings the bundled launch configuration to where a host reads it, and offers newer versions of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from paglets.config.bundled import bundled_launch_config_text
from paglets.config.launch_config import LaunchConfig, LaunchConfigSyncResult
from paglets.config.reading import parse_launch_config, read_config_file
from paglets.config.whole_files import write_beside, write_whole
from paglets.core.errors import HostError
from paglets.core.runtime_values import LaunchConfigSyncAction

if TYPE_CHECKING:
    from collections.abc import Callable

_YES = frozenset({"y", "yes"})
_BUNDLED = Path("launch.toml")  # what errors call it; a test reads it, so nobody will see them


def sync_launch_config(
    path: Path | str,
    *,
    enabled: bool = True,
    yes: bool = False,
    interactive: bool | None = None,
    input_func: Callable[[str], str] = input,
    output: TextIO | Callable[[str], object] | None = None,
) -> LaunchConfigSyncResult:
    """Copy the bundled launch configuration to ``path`` if there is none; offer a newer version if it is older.

    - COPIED: there was no file.
    - UNCHANGED: it is of the bundled version, or of a later one.
    - UPDATED: it was of an older version; ``yes``, or the answer to the question that ``input_func`` asks,
      replaced it. The former file, edited or not, is kept at ``backup_path``.
    - UPDATE_AVAILABLE: the same, but there was nobody to ask (``interactive``; None: whether stdin is a
      terminal).
    - SKIPPED: not ``enabled``, the user said no, or the file says ``sync_demo_config = false`` or stems from
      another configuration.

    A sentence about it goes to ``output``, a text stream or a function, unless nothing changed. A file is
    written whole or not at all. Raises ``HostError`` when the file is no launch configuration, cannot be read or
    written, or is a symbolic link that would have to be replaced.
    """

    def agrees(question: str) -> bool | None:
        if yes:
            return True
        if not (_on_a_terminal() if interactive is None else interactive):
            return None
        try:
            return input_func(question).strip().lower() in _YES
        except EOFError:
            return None

    path = Path(path)
    result = _sync(path, agrees) if enabled else _skipped(path, "synchronisation is off")
    if output is not None and result.action is not LaunchConfigSyncAction.UNCHANGED:
        if callable(output):
            output(result.message)
        else:
            output.write(result.message + "\n")
    return result


def _sync(path: Path, agrees: Callable[[str], bool | None]) -> LaunchConfigSyncResult:
    text = bundled_launch_config_text().encode()
    if not os.path.lexists(path):
        write_whole(path, text)
        message = f"{path} was made from the bundled launch configuration"
        return LaunchConfigSyncResult(LaunchConfigSyncAction.COPIED, path, message)
    former = read_config_file(path)
    current, bundled = parse_launch_config(former, path), parse_launch_config(text, _BUNDLED)
    reason = _reason_to_skip(current, bundled)
    if reason:
        return _skipped(path, reason)
    if current.demo_config_version >= bundled.demo_config_version:
        return LaunchConfigSyncResult(LaunchConfigSyncAction.UNCHANGED, path, f"{path} is up to date")
    change = f"version {current.demo_config_version} to {bundled.demo_config_version}"
    agreed = agrees(f"Update {path} from {change}? Yours is kept beside it. [y/N] ")
    if agreed is None:
        message = f"{path} can be updated from {change}"
        return LaunchConfigSyncResult(LaunchConfigSyncAction.UPDATE_AVAILABLE, path, message)
    if not agreed:
        return _skipped(path, "the update was declined")
    backup = _replace(path, former, text, current.demo_config_version)
    message = f"{path} was updated from {change}; the former file is {backup}"
    return LaunchConfigSyncResult(LaunchConfigSyncAction.UPDATED, path, message, backup)


def _skipped(path: Path, reason: str) -> LaunchConfigSyncResult:
    return LaunchConfigSyncResult(LaunchConfigSyncAction.SKIPPED, path, f"{path} was left alone: {reason}")


def _reason_to_skip(current: LaunchConfig, bundled: LaunchConfig) -> str:
    if not current.sync_demo_config:
        return "it says sync_demo_config = false"
    if current.demo_config_id != bundled.demo_config_id:
        return f"its demo_config_id is not {bundled.demo_config_id!r}"
    return ""


def _replace(path: Path, former: bytes, text: bytes, version: int) -> Path:
    if path.is_symlink():
        raise HostError(
            f"{path} is a symbolic link to {path.readlink()}, which an update would replace; name that file itself"
        )
    backup = write_beside(path, former, f".v{version}.bak")
    write_whole(path, text)
    return backup


def _on_a_terminal() -> bool:
    """Whether somebody can be asked; a service has no stdin, or a closed one."""
    stdin: TextIO | None = sys.stdin
    return stdin is not None and not stdin.closed and stdin.isatty()
