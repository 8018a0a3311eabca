"""Options and arguments that several commands share."""

# Annotations here are read by typer when the program runs.
from pathlib import Path
from typing import Annotated

import typer

from edge.cli.arguments import PagletName, directory, paglet_name
from edge.cli.completion import complete_hosts, complete_ids

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=directory,
        help="Data directory of the host to talk to; else PAGLETS_DATA_DIR, your own host, the system's.",
        show_default=False,
    ),
]
Id = Annotated[
    PagletName,
    typer.Argument(
        metavar="ID",
        parser=paglet_name,
        help="The paglet: its id, the beginning of it, or ID@HOST for a resident service.",
        autocompletion=complete_ids,
        show_default=False,
    ),
]
TargetHost = Annotated[
    str,
    typer.Argument(
        metavar="HOST", help="Name or URL of the host.", autocompletion=complete_hosts, show_default=False
    ),
]
MoveTimeout = Annotated[
    float, typer.Option("--timeout", metavar="S", help="Seconds until the move counts as in doubt.")
]
Since = Annotated[
    int, typer.Option("--since", metavar="N", min=0, help="Only what has a number greater than N.")
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
