"""Commands about services: which are on offer, and what a host starts by itself."""

import os
from typing import Annotated, Any

import typer

from edge import directories
from edge.cli import options
from edge.cli.session import output_for, root_options, session
from edge.cli.tables import Column, Table
from edge.launching import LAUNCH_CONFIG_NAME
from paglets.core.runtime_values import ServiceScope
from paglets.remote import api

_MESH_PATIENCE = 15.0


def services(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Of this name only.", show_default=False)
    ] = "",
    *,
    everywhere: Annotated[bool, typer.Option("--all", "-a", help="Of all hosts of the mesh.")] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """List the services that paglets of the local host offer, or those of the whole mesh."""
    scope = ServiceScope.MESH if everywhere else ServiceScope.LOCAL
    params = api.LookupParams(name=name, scope=scope)
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found: list[dict[str, Any]] = host.ask(
            api.SERVICES_LOOKUP, params, timeout=_MESH_PATIENCE, doing="asking the mesh"
        )["services"]
    if out.as_json:
        out.document(found)
        return
    columns = [
        Column("SERVICE"), Column("PROVIDER"), Column("HOST", keep=True), Column("SCOPE", keep=True), Column("ANSWERS"),
    ]  # fmt: skip
    table = Table(columns, "No services are on offer.")
    for each in sorted(found, key=lambda record: (record["name"], record["host_name"])):
        table.add(
            each["name"],
            each["proxy"]["agent_id"],
            each["host_name"],
            each["scope"],
            " ".join(each["capabilities"]),
        )
    out.table(table)


def launch_config(
    ctx: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take a newer version without asking.")] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Make the file that says what a host starts by itself, or bring it up to date; the old one is kept."""
    from paglets.config.syncing import sync_launch_config  # noqa: PLC0415 - other commands need it not

    out = output_for(ctx, as_json=as_json)
    data = directories.host_data_dir(data_dir or root_options(ctx).data_dir, os.environ)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    result = sync_launch_config(
        data / LAUNCH_CONFIG_NAME, yes=yes, interactive=False if out.as_json else None
    )
    if out.as_json:
        backup = None if result.backup_path is None else str(result.backup_path)
        out.document(
            {
                "action": result.action.value,
                "path": str(result.path),
                "message": result.message,
                "backup": backup,
            }
        )
    else:
        out.text(result.message)
