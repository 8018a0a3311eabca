"""The command that empties a host for maintenance: `paglets drain`."""

import time
from typing import Annotated, Any

import typer

from edge.cli import options
from edge.cli.arguments import host_name
from edge.cli.completion import complete_hosts
from edge.cli.failures import DONE, FAILED, UsageError
from edge.cli.gateway import LocalHost
from edge.cli.output import Output, warn
from edge.cli.session import session
from paglets.remote import api

_LOOK_AGAIN = 0.25
"""Seconds between looks at how it goes."""
_START = 30.0
"""Seconds to find the hosts that were named."""


def drain(
    ctx: typer.Context,
    host_: Annotated[
        str,
        typer.Argument(metavar="[HOST]", help="The host to empty.", autocompletion=complete_hosts,
                       show_default="the local one"),
    ] = "",
    *,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="HOST", help="Move there, not to just any host; may be given again.",
                     autocompletion=complete_hosts, show_default=False),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let paglets in again; none comes back.")] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:  # fmt: skip
    """Move every paglet away from a host, for maintenance, and let none in until --undo."""
    if undo and to:
        raise UsageError("--to says where paglets go, --undo that they stay; give one of them")
    at = host_name(host_) if host_ else ""
    names = [host_name(name) for name in to or ()]
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        if undo:
            told = host.ask(api.HOST_DRAIN, api.DrainParams(action=api.DrainAction.UNDO), at=at)
            if out.as_json:
                out.document({"host": told["host"], "draining": told["draining"]})
            else:
                out.text(f"{told['host']} takes paglets in again")
            return
        code = _watch(host, out, at, names)
    raise typer.Exit(code)


def _watch(host: LocalHost, out: Output, at: str, names: list[str]) -> int:
    """Begin, and tell how it goes until the round is over; the exit code."""
    before = host.ask(api.HOST_DRAIN, api.DrainParams(since=2**53), at=at)
    seen = 0 if before["running"] else before["moved"]
    params = api.DrainParams(action=api.DrainAction.BEGIN, to=names, since=seen)
    told = host.ask(api.HOST_DRAIN, params, timeout=_START, at=at, doing="finding the hosts to move to")
    moves: list[dict[str, Any]] = []
    while True:
        for move in told["moves"]:
            seen = move["number"]
            moves.append(move)
            _tell(out, move)
        if not told["running"]:
            break
        time.sleep(_LOOK_AGAIN)
        told = host.ask(api.HOST_DRAIN, api.DrainParams(since=seen), at=at)
    _conclude(out, told, moves)
    return FAILED if told["failed_count"] else DONE


def _tell(out: Output, move: dict[str, Any]) -> None:
    if not out.as_json:
        note = f", but {move['note']}" if move["note"] else ""
        out.text(f"{move['agent_id']} is on {move['host_name']} now{note}")


def _conclude(out: Output, told: dict[str, Any], moves: list[dict[str, Any]]) -> None:
    if out.as_json:
        out.document({
            "host": told["host"],
            "draining": told["draining"],
            "moved": [{key: move[key] for key in ("agent_id", "host_name", "note")} for move in moves],
            "failed": told["failed"],
            "failed_count": told["failed_count"],
        })  # fmt: skip
        return
    for each in told["failed"]:
        warn(f"{each['agent_id'] or told['host']}: {each['reason']}")
    left = told["failed_count"]
    rest = f"; {left} could not be moved" if left else ""
    if not told["draining"]:
        out.text(f"{len(moves)} moved{rest}; somebody has ended the draining of {told['host']}")
        return
    out.text(
        f"{len(moves)} moved{rest}; {told['host']} takes no paglets until `paglets drain {told['host']} --undo`"
    )
