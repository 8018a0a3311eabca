"""The command that finds what can be created: classes."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge.cli import options
from edge.cli.failures import CommandError
from edge.cli.output import warn
from edge.cli.session import output_for
from edge.cli.tables import Column, Table

_SEPARATORS = ("/", "\\")


def classes(
    ctx: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|MODULE...",
            help="Python files, directories, or modules by name; what is neither there nor has a slash is a module.",
            show_default=False,
        ),
    ],
    *,
    as_json: options.AsJson = False,
) -> None:
    """List the paglet classes in files, directories and modules. Needs no host; imports them in a process apart."""
    from paglets.remote.admin_values import AgentDiscoveryConfig  # noqa: PLC0415 - only this command needs it
    from paglets.tooling.discovery import discover_agent_classes  # noqa: PLC0415

    paths = [source for source in sources if _is_path(source)]
    modules = [source for source in sources if not _is_path(source)]
    result = discover_agent_classes(AgentDiscoveryConfig(paths, modules))
    out = output_for(ctx, as_json=as_json)
    if out.as_json:
        out.document(
            {"classes": [asdict(record) for record in result.agent_classes], "errors": result.errors}
        )
    else:
        table = Table(
            [Column("CLASS", keep=True), Column("NEEDS"), Column("DESCRIPTION")], "No paglet classes."
        )
        for record in result.agent_classes:
            table.add(record.class_name, ",".join(record.required_state_fields), record.description)
        out.table(table)
        for error in result.errors:
            warn(error)
    if result.errors and not result.agent_classes:
        raise CommandError("nothing was found there")


def _is_path(source: str) -> bool:
    return source.endswith(".py") or any(mark in source for mark in _SEPARATORS) or Path(source).exists()
