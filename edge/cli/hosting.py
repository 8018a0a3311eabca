"""The command that is a host: `paglets host`."""

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from edge import directories, logs
from edge.cli import options
from edge.cli.arguments import properties
from edge.cli.failures import UsageError
from edge.cli.session import output_for, root_options
from edge.settings import EVERY_ADDRESS, ApplianceSettings
from paglets.remote.wire.addresses import DEFAULT_PORT, parse_host_url


def host(
    ctx: typer.Context,
    *,
    name: Annotated[
        str, typer.Option("--name", metavar="N", help="Its name in the mesh.", show_default="this machine's")
    ] = "",
    port: Annotated[
        int,
        typer.Option("--port", metavar="P", min=0, max=65535, help="TCP port to listen on; 0: a free one."),
    ] = DEFAULT_PORT,
    bind: Annotated[
        list[str] | None,
        typer.Option("--bind", metavar="ADDR", help="Listen here only.", show_default="everywhere"),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Where it keeps what it owns.", show_default=False),
    ] = None,
    mesh_dir: Annotated[
        Path | None,
        typer.Option(
            "--mesh-dir", metavar="DIR", help="Where the credentials of the mesh are.", show_default=False
        ),
    ] = None,
    peer: Annotated[
        list[str] | None, typer.Option("--peer", metavar="URL", help="A host to find without discovery.")
    ] = None,
    no_discovery: Annotated[
        bool, typer.Option("--no-discovery", help="Neither advertise nor browse on the network.")
    ] = False,
    code_path: Annotated[
        list[Path] | None, typer.Option("--code-path", metavar="DIR", help="A directory of paglet code.")
    ] = None,
    mesh_version: Annotated[
        str,
        typer.Option(
            "--mesh-version", metavar="V", help="Code version of the mesh.", show_default="this release"
        ),
    ] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="A tag of this host.")] = None,
    property_: Annotated[
        list[str] | None, typer.Option("--property", metavar="K=V", help="A property of this host.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a host, until SIGTERM or Ctrl-C. Logs go to stderr; PAGLETS_LOG=debug shows more."""
    data = directories.host_data_dir(data_dir or root_options(ctx).data_dir, os.environ)
    out = output_for(ctx, as_json=as_json)
    settings = ApplianceSettings(
        name=_name(name),
        data_dir=data,
        mesh_dir=directories.mesh_dir(mesh_dir, os.environ),
        socket_path=directories.socket_path(data, os.environ),
        port=port,
        bind=tuple(bind) if bind else EVERY_ADDRESS,
        peers=tuple(_peer(url) for url in peer or ()),
        discovery=not no_discovery,
        code_paths=tuple(_code_path(path) for path in code_path or ()),
        mesh_version=mesh_version,
        tags=tuple(tag or ()),
        properties=properties(property_ or ()),
        **({"announce": out.json_line} if out.as_json else {}),
    )
    logs.configure()
    # The zygote is forked in there, before there is any thread; nothing of the host is loaded until then.
    from edge.appliance import run  # noqa: PLC0415

    raise typer.Exit(run(settings))


def _name(name: str) -> str:
    chosen = name or socket.gethostname().split(".")[0] or "paglets"
    if not chosen.isprintable() or any(mark in chosen for mark in " @/:") or len(chosen) > 63:
        raise UsageError(
            f"--name {chosen!r}: a name has at most 63 characters, none of them a space, @, / or :"
        )
    return chosen


def _peer(url: str) -> str:
    try:
        endpoint = parse_host_url(url)
    except ValueError as error:
        raise UsageError(f"--peer: {error}") from None
    if endpoint.path:
        raise UsageError(f"--peer {url!r}: it looks like https://HOST:PORT")
    return url


def _code_path(path: Path) -> Path:
    absolute = path.expanduser().absolute()
    if not absolute.exists():
        raise UsageError(f"--code-path {path}: there is no such directory")
    return absolute
