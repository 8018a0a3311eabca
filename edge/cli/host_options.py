"""Options of `paglets host`."""

# Annotations here are read by typer when the program runs.
from pathlib import Path
from typing import Annotated

import typer

from edge.cli.arguments import directory

Name = Annotated[
    str, typer.Option("--name", metavar="N", help="Its name in the mesh.", show_default="this machine's")
]
Port = Annotated[
    int, typer.Option("--port", metavar="P", min=0, max=65535, help="TCP port to listen on; 0: a free one.")
]
Bind = Annotated[
    list[str] | None,
    typer.Option("--bind", metavar="ADDR", help="Listen here only.", show_default="everywhere"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", parser=directory, help="Where it keeps what it owns.", show_default=False
    ),
]
MeshDir = Annotated[
    Path | None,
    typer.Option(
        "--mesh-dir",
        metavar="DIR",
        parser=directory,
        help="Where the credentials of the mesh are.",
        show_default=False,
    ),
]
Peer = Annotated[
    list[str] | None, typer.Option("--peer", metavar="URL", help="A host to find without discovery.")
]
NoDiscovery = Annotated[
    bool, typer.Option("--no-discovery", help="Neither advertise nor browse on the network.")
]
CodePath = Annotated[
    list[Path] | None,
    typer.Option("--code-path", metavar="DIR", parser=directory, help="A directory of paglet code."),
]
LaunchConfig = Annotated[
    Path | None,
    typer.Option(
        "--launch-config",
        metavar="FILE",
        help="What it starts by itself.",
        show_default="launch.toml in its data directory",
    ),
]
MeshVersion = Annotated[
    str,
    typer.Option(
        "--mesh-version", metavar="V", help="Code version of the mesh.", show_default="this release"
    ),
]
Tag = Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="A tag of this host.")]
Property = Annotated[
    list[str] | None, typer.Option("--property", metavar="K=V", help="A property of this host.")
]
