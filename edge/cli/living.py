"""Commands that change a paglet's life: create, dispatch, clone, retract, deactivate, activate, dispose."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from edge.cli import options
from edge.cli.arguments import class_name, fresh_id, host_name, json_object, json_value, seconds
from edge.cli.completion import complete_hosts
from edge.cli.gateway import LONG, LocalHost
from edge.cli.naming import find_to_change
from edge.cli.output import Output
from edge.cli.session import session
from paglets.core.deactivation import DeactivationRequest
from paglets.remote import api
from paglets.remote.transfer import TransferTicket


def create(
    ctx: typer.Context,
    paglet_class: Annotated[
        str,
        typer.Argument(metavar="MODULE:CLASS", help="Its class, on a code path there.", show_default=False),
    ],
    *,
    state: Annotated[
        str | None, typer.Option("--state", metavar="JSON", help="Fields of its first state, as an object.")
    ] = None,
    init: Annotated[
        str | None, typer.Option("--init", metavar="JSON", help="What `on_creation` is given.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="HOST", help="Make it there, not here.", autocompletion=complete_hosts,
                     show_default=False),
    ] = None,
    agent_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id.", show_default="a fresh one")
    ] = None,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:  # fmt: skip
    """Make a paglet."""
    params = api.CreateParams(
        class_name=class_name(paglet_class),
        state=api.NULL if state is None else json_object(state, "--state"),
        init=api.NULL if init is None else json_value(init, "--init"),
        agent_id="" if agent_id is None else fresh_id(agent_id),
        target="" if on is None else host_name(on),
    )
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        place = host.ask(api.PAGLETS_CREATE, params, timeout=LONG, doing=f"creating a {paglet_class}")
        _tell(host, out, place, "{agent_id} created on {host}")


def dispatch(
    ctx: typer.Context,
    paglet: options.Id,
    target: options.TargetHost,
    *,
    timeout: options.MoveTimeout = 10.0,
    queue: Annotated[
        bool,
        typer.Option("--queue", help="If that host is away, keep the paglet and move it when it is back."),
    ] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Move a paglet to another host."""
    ticket = replace(_ticket(target, timeout), queue=queue)
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find_to_change(host, paglet)
        params = api.DispatchParams(agent_id=found.agent_id, ticket=ticket.to_wire())
        doing = f"moving {found.agent_id} to {target}"
        place = host.ask(api.PAGLETS_DISPATCH, params, at=found.host_url, timeout=timeout + LONG, doing=doing)
        if place.get("queued"):
            text = (
                f"{{agent_id}} waits on {{host}}, and moves when {target} is back; `paglets outbox` shows it"
            )
            _tell(host, out, place, text, {"queued": True})
        else:
            _tell(host, out, place, "{agent_id} is on {host} now")


def clone(
    ctx: typer.Context,
    paglet: options.Id,
    target: Annotated[
        str,
        typer.Argument(metavar="[HOST]", help="Where the clone shall be.", autocompletion=complete_hosts,
                       show_default="beside the original"),
    ] = "",
    *,
    timeout: options.MoveTimeout = 10.0,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:  # fmt: skip
    """Make a copy of a paglet, with an id of its own."""
    ticket = _ticket(target, timeout).to_wire() if target else None
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find_to_change(host, paglet)
        params = api.CloneParams(agent_id=found.agent_id, ticket=ticket)
        doing = f"cloning {found.agent_id}"
        place = host.ask(api.PAGLETS_CLONE, params, at=found.host_url, timeout=timeout + LONG, doing=doing)
        _tell(host, out, place, "{agent_id} is its clone, on {host}")


def retract(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    timeout: options.MoveTimeout = 10.0,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Bring a paglet to the local host, from wherever it is."""
    seconds(timeout, "--timeout")
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find_to_change(host, paglet)
        params = api.RetractParams(agent_id=found.agent_id, source_url=found.host_url, timeout=timeout)
        doing = f"bringing {found.agent_id} here"
        place = host.ask(api.PAGLETS_RETRACT, params, timeout=timeout + LONG, doing=doing)
        _tell(host, out, place, "{agent_id} is on {host} now")


def deactivate(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Park a paglet on its host's disk; it has no process then."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find_to_change(host, paglet)
        request = DeactivationRequest(source="cli").to_wire()
        params = api.DeactivateParams(agent_id=found.agent_id, request=request)
        doing = f"parking {found.agent_id}"
        place = host.ask(api.PAGLETS_DEACTIVATE, params, at=found.host_url, timeout=LONG, doing=doing)
        _tell(host, out, place, "{agent_id} is parked on {host}")


def activate(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Wake a parked paglet."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find_to_change(host, paglet)
        params = api.PagletParams(agent_id=found.agent_id)
        doing = f"waking {found.agent_id}"
        place = host.ask(api.PAGLETS_ACTIVATE, params, at=found.host_url, timeout=LONG, doing=doing)
        _tell(host, out, place, "{agent_id} is active on {host}")


def dispose(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """End a paglet for good, with its files."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find_to_change(host, paglet)
        params = api.PagletParams(agent_id=found.agent_id)
        doing = f"ending {found.agent_id}"
        host.ask(api.PAGLETS_DISPOSE, params, at=found.host_url, timeout=LONG, doing=doing)
    if out.as_json:
        out.document({"agent_id": found.agent_id, "host_url": found.host_url, "disposed": True})
    else:
        out.text(f"{found.agent_id} is no more")


def _ticket(target: str, timeout: float) -> TransferTicket:
    return TransferTicket(host_name(target), timeout=seconds(timeout, "--timeout"))


def _tell(
    host: LocalHost, out: Output, place: dict[str, Any], text: str, more: dict[str, Any] | None = None
) -> None:
    """Say where a paglet is now: its id and host, or, for a person, a sentence with the host's name."""
    if out.as_json:
        out.document({"agent_id": place["agent_id"], "host_url": place["host_url"], **(more or {})})
        return
    names = {each["url"]: each["name"] for each in host.hosts()}
    out.text(text.format(agent_id=place["agent_id"], host=names.get(place["host_url"], place["host_url"])))
