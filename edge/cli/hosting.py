"""The command that is a host: `paglets host`."""

import os
import socket
import zipfile
from pathlib import Path

import typer

from edge import directories
from edge.cli import host_options, options
from edge.cli.arguments import properties
from edge.cli.failures import UsageError
from edge.cli.session import root_options
from edge.settings import EVERY_ADDRESS, ApplianceSettings
from paglets.core.errors import HostError
from paglets.remote.wire.addresses import DEFAULT_PORT, parse_host_url
from paglets.runtime.host_names import require_name


def host(
    ctx: typer.Context,
    *,
    name: host_options.Name = "",
    port: host_options.Port = DEFAULT_PORT,
    bind: host_options.Bind = None,
    data_dir: host_options.DataDir = None,
    mesh_dir: host_options.MeshDir = None,
    peer: host_options.Peer = None,
    no_discovery: host_options.NoDiscovery = False,
    code_path: host_options.CodePath = None,
    launch_config: host_options.LaunchConfig = None,
    mesh_version: host_options.MeshVersion = "",
    tag: host_options.Tag = None,
    property_: host_options.Property = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a host, until SIGTERM or Ctrl-C. Logs go to stderr; PAGLETS_LOG=debug shows more."""
    data = directories.host_data_dir(data_dir or root_options(ctx).data_dir, os.environ)
    settings = ApplianceSettings(
        name=_name(name),
        data_dir=data,
        mesh_dir=directories.mesh_dir(mesh_dir, os.environ),
        socket_path=directories.socket_path(data, os.environ),
        port=port,
        bind=tuple(_bind(address) for address in bind) if bind else EVERY_ADDRESS,
        peers=tuple(_peer(url) for url in peer or ()),
        discovery=not no_discovery,
        code_paths=tuple(_code_path(path) for path in code_path or ()),
        launch_config=_launch_config(launch_config),
        mesh_version=mesh_version,
        tags=tuple(tag or ()),
        properties=properties(property_ or ()),
        as_json=as_json or root_options(ctx).as_json,
    )
    raise typer.Exit(root_options(ctx).run_host(settings))


def _name(name: str) -> str:
    try:
        return require_name(name or socket.gethostname().split(".")[0] or "paglets")
    except HostError as error:
        raise UsageError(f"--name: {error}") from None


def _bind(address: str) -> str:
    try:
        address.encode("idna")
    except UnicodeError:
        known = False
    else:
        known = bool(address) and address.isprintable() and not any(mark in address for mark in " /[]")
    if not known:
        raise UsageError(f"--bind {address!r}: it is an address of this machine, or a name of one")
    return address


def _peer(url: str) -> str:
    try:
        endpoint = parse_host_url(url)
    except ValueError as error:
        raise UsageError(f"--peer: {error}") from None
    if endpoint.path:
        raise UsageError(f"--peer {url!r}: it looks like https://HOST:PORT")
    return url


def _launch_config(path: Path | None) -> Path | None:
    if path is None:
        return None
    absolute = path.expanduser().absolute()
    if not absolute.is_file():
        raise UsageError(f"--launch-config {path}: there is no such file")
    return absolute


def _code_path(path: Path) -> Path:
    absolute = path.expanduser().absolute()
    if not absolute.exists():
        raise UsageError(f"--code-path {path}: there is no such directory")
    if not absolute.is_dir() and not zipfile.is_zipfile(absolute):
        raise UsageError(f"--code-path {path}: that is neither a directory nor an archive of Python code")
    return absolute
