"""Commands that look: status, hosts, ps, info, state."""

import concurrent.futures
import json
from typing import Annotated, Any

import typer

from edge.cli import options
from edge.cli.adopting import copies_of
from edge.cli.gateway import SHORT, LocalHost
from edge.cli.naming import find
from edge.cli.output import Output, warn
from edge.cli.session import session
from edge.cli.tables import Column, Table
from edge.cli.units import age, clock, size
from paglets.core.errors import PagletError
from paglets.remote import api

_PEER_PATIENCE = 5.0
"""Seconds that another host may take to list its paglets before the list goes without."""


def status(ctx: typer.Context, *, as_json: options.AsJson = False, data_dir: options.DataDir = None) -> None:
    """Show who the local host is, where it listens, and how it is."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        facts = host.status()
    if out.as_json:
        out.document(facts)
        return
    started = facts.get("started_at")
    shown: dict[str, Any] = {
        **{key: facts.get(key) for key in ("name", "host_id", "mesh_id", "address", "version")},
        "ready": "yes" if facts.get("ready") else "not yet",
        "up": age(started) if started else None,
        "data": facts.get("data_dir"),
        "paglets": _counts(facts),
        "draining": "yes: `paglets drain --undo` ends it" if facts.get("draining") else None,
        "under pressure": _pressure(facts),
        "problem": "; ".join(filter(None, (facts.get("restored"), facts.get("degraded")))),
    }
    out.pairs((key.replace("_", " "), value) for key, value in shown.items())


def hosts(ctx: typer.Context, *, as_json: options.AsJson = False, data_dir: options.DataDir = None) -> None:
    """List the hosts of the mesh."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = host.hosts()
        own = host.status() if not out.as_json else {}
    if out.as_json:
        out.document(found)
        return
    columns = [
        Column("HOST", keep=True), Column("STATE", keep=True), Column("ADDRESS"), Column("PAGLETS", "right"),
        Column("SEEN", "right"), Column("VERSION"), Column("TAGS", optional=True),
        Column("NOTE", optional=True),
    ]  # fmt: skip
    table = Table(columns, "No host is known, not even this one.")
    for each in found:
        state = "online" if each["online"] else "offline"
        if each["online"] and own.get("code_version") not in {None, each["code_version"]}:
            state = "other version"
        table.add(
            each["name"], state, each["url"], str(each["active_count"] + each["inactive_count"]),
            age(each["last_seen"]), each["code_version"], ",".join(each["tags"]), _note(each),
        )  # fmt: skip
    out.table(table)


def ps(
    ctx: typer.Context,
    *,
    everywhere: Annotated[bool, typer.Option("--all", "-a", help="Of all hosts of the mesh.")] = False,
    services: Annotated[bool, typer.Option("--services", help="The resident services, too.")] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """List the paglets of the local host, or of the whole mesh."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        agents = _everywhere(host) if everywhere else host.paglets() + list(copies_of(host))
    if not services:
        agents = [agent for agent in agents if not agent.get("resident")]
    if out.as_json:
        out.document(agents)
        return
    columns = [Column("ID"), Column("CLASS"), Column("HOST", keep=True), Column("STATE", keep=True),
               Column("AGE", "right", keep=True), Column("MEMORY", "right", keep=True)]  # fmt: skip
    table = Table(columns, "No paglets. `paglets create MODULE:CLASS` makes one.")
    for agent in agents:
        table.add(
            agent["agent_id"], agent["class_name"], agent["host_name"], agent["status"],
            age(agent.get("created_at")), size(agent.get("memory_bytes")),
        )  # fmt: skip
    out.table(table)


def info(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Show what its host knows of a paglet."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find(host, paglet)
        facts = host.ask(api.PAGLETS_INFO, api.PagletParams(agent_id=found.agent_id), at=found.host_url)
    if out.as_json:
        out.document(facts)
        return
    out.pairs(
        (key.replace("_", " "), _readable(key, value)) for key, value in facts.items() if value is not None
    )


def state(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Show the state of a paglet, active or not."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find(host, paglet)
        params = api.PagletParams(agent_id=found.agent_id)
        shown = host.ask(
            api.PAGLETS_STATE, params, at=found.host_url, timeout=30.0, doing="reading the state"
        )
    if out.as_json:
        out.document(shown)
    else:
        out.value(shown["state"])


def _everywhere(host: LocalHost) -> list[dict[str, Any]]:
    """The paglets of every host that is online, asked at the same time; a host that fails is told of."""
    own = host.status()["address"]
    others = [each for each in host.hosts() if each["online"] and each["url"] != own]
    params = api.PagletsListParams(state="all", memory=True)
    begun = [host.begin(api.PAGLETS_LIST, params, timeout=_PEER_PATIENCE, at=each["url"]) for each in others]
    agents = host.paglets() + list(copies_of(host))
    for other, answer in zip(others, begun, strict=True):
        agents += _answered(host, other, answer)
    return agents


def _answered(
    host: LocalHost, other: dict[str, Any], answer: concurrent.futures.Future[bytes]
) -> list[dict[str, Any]]:
    try:
        page = json.loads(answer.result(_PEER_PATIENCE + SHORT))
        kept = list(copies_of(host, at=other["url"], timeout=_PEER_PATIENCE))
        if page.get("cursor"):  # a long list: once more, page by page
            return host.paglets(at=other["url"]) + kept
    except (PagletError, TimeoutError) as error:
        warn(f"the paglets of {other['name']} are missing here: {error or 'no answer in time'}")
        return []
    return page["agents"] + kept


def _note(seen: dict[str, Any]) -> str:
    properties = seen["properties"]
    notes = [word for word in ("draining", "restored") if properties.get(word) is True]
    if isinstance(store := properties.get("degraded"), str):
        notes.append(f"store {store}")
    return seen.get("error", "") or ", ".join(notes)


def _counts(facts: dict[str, Any]) -> str:
    return f"{facts.get('active_count', 0)} active, {facts.get('inactive_count', 0)} inactive"


def _pressure(facts: dict[str, Any]) -> str | None:
    """Which bounds of the host are nearly reached, or were just now; None: none."""
    pressure: dict[str, Any] = facts.get("pressure") or {}
    shown: list[str] = []
    for name in pressure.get("tight", ()):
        bound = pressure.get(name, {})
        taken = (
            f"{bound['used']} of {bound['limit']}"
            if "used" in bound
            else f"{size(bound.get('free', 0))} free"
        )
        refused = f", {bound['refused']} refused" if bound.get("refused") else ""
        shown.append(f"{name} ({taken}{refused})")
    return "; ".join(shown) or None


def _readable(key: str, value: Any) -> object:
    if key.endswith("_bytes"):
        return size(value)
    if key.endswith("_at") and value:
        return f"{clock(value)} ({age(value)} ago)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return Output.plain(value)
