"""Commands for backups: `paglets backup` and `paglets restore`."""

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from edge import directories
from edge.cli import options
from edge.cli.arguments import directory
from edge.cli.failures import NoHostError, UsageError
from edge.cli.output import Output, warn
from edge.cli.session import output_for, root_options, session
from paglets.remote import api

_COPYING = 3600.0
"""Seconds that a host may take to copy its store and files."""
_ASKING = 120.0

BackupFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", parser=directory, help="The backup; replaced as a whole.", show_default=False
    ),
]


def backup(
    ctx: typer.Context, file: BackupFile, *, as_json: options.AsJson = False, data_dir: options.DataDir = None
) -> None:
    """Write everything of a host into one file, its key with it, whether or not it runs."""
    from edge.backup import back_up_stopped, take_away  # noqa: PLC0415 - the store is loaded when it is needed

    out = output_for(ctx, as_json=as_json)
    try:
        with session(ctx, data_dir=data_dir, as_json=as_json) as (host, _):
            told: dict[str, Any] = host.ask(
                api.HOST_BACKUP, api.NoParams(), timeout=_COPYING, doing="copying the store"
            )
        take_away(Path(told.pop("path")), file)
    except NoHostError:
        manifest = back_up_stopped(_stopped(data_dir or root_options(ctx).data_dir), file)
        told = {**msgspec.to_builtins(manifest), "files": len(manifest.files)}
    told = {"file": str(file), "size": file.stat().st_size, **told}
    if out.as_json:
        out.document(told)
    else:
        name = told["host_name"] or told["host_id"]
        out.text(f"{file} holds host {name}, {told['files']} files and its key: keep it secret")


def restore(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", parser=directory, help="The backup.", show_default=False),
    ] = None,
    *,
    accept: Annotated[
        bool, typer.Option("--accept", help="Set the restored host that runs here going again.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --accept: although some hosts cannot be asked.")
    ] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Put a backup into a new data directory; or accept what was put back, when its host runs."""
    if (file is None) is not accept or (force and not accept):
        raise UsageError(
            "either FILE and --data-dir, to put a backup back, or --accept [--force] when its host runs"
        )
    if file is None:
        _accept(ctx, force=force, as_json=as_json, data_dir=data_dir)
        return
    target = data_dir or root_options(ctx).data_dir
    if target is None:
        raise UsageError("--data-dir DIR says where to: a directory that is empty or not there yet")
    from edge.backup import restore as put_back  # noqa: PLC0415 - the store is loaded when it is needed

    manifest = put_back(file, target)
    out = output_for(ctx, as_json=as_json)
    if out.as_json:
        out.document({**msgspec.to_builtins(manifest), "files": len(manifest.files), "data_dir": str(target)})
        return
    out.text(f"host {manifest.host_name or manifest.host_id} is in {target}, as it was at its backup")
    out.text(
        "Make sure that the old one never starts again. Then start this one; its paglets stay parked until"
    )
    out.text(f"`paglets --data-dir {target} restore --accept`.")


def _accept(ctx: typer.Context, *, force: bool, as_json: bool, data_dir: Path | None) -> None:
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        params = api.AcceptRestoredParams(force=force)
        told = host.ask(
            api.HOST_ACCEPT_RESTORED, params, timeout=_ASKING, doing="asking the other hosts what they have"
        )
    if out.as_json:
        out.document(told)
    else:
        _tell(out, told)


def _tell(out: Output, told: dict[str, Any]) -> None:
    for agent_id in told["given_up"]:
        out.text(f"{agent_id} lives on elsewhere; the old copy is gone")
    for agent_id in told["doubled"]:
        warn(f"{agent_id} is at another host, too, in an earlier life; see to it with `paglets ps --all`")
    for name in told["silent"]:
        warn(f"{name} could not be asked")
    out.text(f"{told['host']} goes on: its store counts again")


def _stopped(option: Path | None) -> Path:
    """The data directory of a host that does not run."""
    from edge.backup import holds_a_store  # noqa: PLC0415

    tried = directories.data_dirs_to_try(option, os.environ)
    for data_dir in tried:
        if holds_a_store(data_dir):
            return data_dir
    raise NoHostError(
        f"there is no host in {' or '.join(map(str, tried))}; name its directory with --data-dir"
    )
