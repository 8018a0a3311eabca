"""One run of one command: its output, and the host it talks to."""

from __future__ import annotations

import contextlib
import os
import sys
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edge.cli.gateway import LocalHost, find_socket
from edge.cli.output import Output
from paglets.core.errors import RemoteHostError

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Generator
    from pathlib import Path

    import typer

    from edge.settings import ApplianceSettings

_PATIENCE = 0.5
"""Seconds until a person is told what is being waited for."""


def run_here(settings: ApplianceSettings) -> int:
    """Run a host in this process."""
    # The zygote is forked in there, before there is any thread; nothing of the host is loaded until then.
    from edge import logs  # noqa: PLC0415
    from edge.appliance import run  # noqa: PLC0415

    logs.configure()
    return run(settings)


@dataclass(frozen=True, slots=True)
class RootOptions:
    """Options given before the command's name."""

    data_dir: Path | None = None
    as_json: bool = False
    run_host: Callable[[ApplianceSettings], int] = run_here
    """What runs a host with those settings, to its end; the exit code."""


class Session(NamedTuple):
    """What a command works with."""

    host: LocalHost
    out: Output


def output_for(ctx: typer.Context, *, as_json: bool) -> Output:
    """The command's output; ``--json`` may stand before or after its name."""
    return Output(as_json=as_json or root_options(ctx).as_json)


def root_options(ctx: typer.Context) -> RootOptions:
    """The options before the command's name."""
    return ctx.find_object(RootOptions) or RootOptions()


@contextlib.contextmanager
def session(ctx: typer.Context, *, data_dir: Path | None, as_json: bool) -> Generator[Session]:
    """Talk to the host that the options and the environment name; ``NoHostError`` when there is none."""
    out = output_for(ctx, as_json=as_json)
    with local_host(data_dir or root_options(ctx).data_dir, progress=not out.as_json) as host:
        yield Session(host, out)


@contextlib.contextmanager
def local_host(data_dir: Path | None, *, progress: bool = False) -> Generator[LocalHost]:
    """The host of that data directory, or the default one, until the end of the block."""
    path = find_socket(data_dir, os.environ)
    # The client brings the whole wire with it; a command that finds no host does not wait for that.
    from paglets.remote.client import HostClient  # noqa: PLC0415

    host = LocalHost(f"unix:{path}", HostClient(), wait=_show_waiting if progress else None)
    try:
        yield host
    finally:
        host.close()


def _show_waiting(answer: concurrent.futures.Future[bytes], timeout: float, doing: str) -> bytes:
    """Wait for an answer; when it takes a while, and a person looks, say what is going on."""
    with contextlib.suppress(FutureTimeout):
        return answer.result(_PATIENCE)
    try:
        if not doing or not sys.stderr.isatty():
            return answer.result(timeout)
        from rich.console import Console  # noqa: PLC0415 - most commands are done before this

        with Console(stderr=True).status(f"{doing} …"):
            return answer.result(timeout)
    except FutureTimeout:
        answer.cancel()
        raise RemoteHostError(
            f"the host did not answer within {timeout:.0f} s; its log may say why"
        ) from None
