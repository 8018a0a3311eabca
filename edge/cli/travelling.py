"""The command that shows where a paglet has been: passport."""

from typing import TYPE_CHECKING, Any

import msgspec
import typer

from edge.cli import options
from edge.cli.arguments import PagletName
from edge.cli.gateway import LocalHost
from edge.cli.naming import find_to_change
from edge.cli.output import Output
from edge.cli.session import session
from edge.cli.tables import Column, Table
from edge.cli.units import clock
from paglets.core.errors import HostError, InvalidAgentError
from paglets.remote import api

if TYPE_CHECKING:
    from paglets.remote.envelopes.passport import Hop, Passport
    from paglets.remote.envelopes.stops import Stop

_LINKS = {
    "verified": "verified",
    "birth": "born there",
    "cut-off": "older stops are not kept",
    "unknown": "not known: its header was too large to keep",
    "broken": "BROKEN",
}


def passport(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Show which hosts a paglet has been on, and verify what they signed."""
    from paglets.remote.envelopes.passport import check_passport  # noqa: PLC0415 - only this command verifies

    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = _ask(host, paglet)
        mesh_id = host.status()["mesh_id"]
    # What the hosts signed is verified here, whatever the host that was asked says of it.
    checked = check_passport(
        _stops(found),
        mesh_id=mesh_id,
        agent_id=found["agent_id"],
        receipt="" if found["departed"] else found["receipt"],
    )
    if out.as_json:
        out.document({**found, **msgspec.to_builtins(checked)})
        return
    _show(out, found, checked)


def _ask(host: LocalHost, paglet: PagletName) -> dict[str, Any]:
    try:
        where = find_to_change(host, paglet)
    except InvalidAgentError:
        # It may have left for a host that is away: then this one knows how it left.
        return host.ask(api.PAGLETS_PASSPORT, api.PagletParams(agent_id=paglet.prefix))
    return host.ask(api.PAGLETS_PASSPORT, api.PagletParams(agent_id=where.agent_id), at=where.host_url)


def _stops(found: dict[str, Any]) -> "tuple[Stop, ...]":
    from paglets.remote.envelopes.stops import Stop  # noqa: PLC0415

    try:
        return msgspec.convert(found["stops"], tuple[Stop, ...])
    except msgspec.ValidationError as error:
        raise HostError(f"host {found['host_name']} gave no passport: {error}") from None


def _show(out: Output, found: dict[str, Any], checked: "Passport") -> None:
    columns = [Column("FROM"), Column("TO"), Column("WHAT", keep=True), Column("LIFE", "right", keep=True),
               Column("WHEN", keep=True), Column("SIGNED", keep=True), Column("FOLLOWS ON")]  # fmt: skip
    table = Table(columns, "It has never moved.")
    for hop in checked.hops:
        table.add(hop.source_name or hop.source, hop.target_name or hop.target, hop.kind, str(hop.epoch),
                  clock(hop.received_at), _signed(hop), _LINKS[hop.link])  # fmt: skip
    out.table(table)
    for number, hop in enumerate(checked.hops, 1):
        for problem in hop.problems:
            out.text(f"stop {number}: {problem}")
    for problem in checked.problems:
        out.text(problem)
    if found["departed"]:
        out.text(f"It has left {found['host_name']}; the host that it went to does not answer.")
    out.text(checked.summary)


def _signed(hop: "Hop") -> str:
    if "broken" in {hop.header, hop.receipt}:
        return "BROKEN"
    return "by both" if hop.header == "verified" else "by the target"
