"""Commands about messages that wait, or could not be delivered: outbox, dead-letters."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from edge.cli import options
from edge.cli.failures import UsageError
from edge.cli.gateway import LocalHost
from edge.cli.output import Output
from edge.cli.session import session
from edge.cli.tables import Column, Table
from edge.cli.units import age, clock
from paglets.core.errors import HostError
from paglets.remote import outbox_api as api

_PAGE = 1000


class Action(StrEnum):
    """What to do with dead letters."""

    LIST = "list"
    REPLAY = "replay"
    DROP = "drop"


def outbox(ctx: typer.Context, *, as_json: options.AsJson = False, data_dir: options.DataDir = None) -> None:
    """List what waits at the local host for hosts that are away: one-way messages, and paglets to be moved."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found: list[dict[str, Any]] = []
        found += ({"what": "message", **each} for each in _pages(host, api.OUTBOX_LIST, "messages"))
        found += ({"what": "paglet", **each} for each in _waiting(host))
    if out.as_json:
        out.document(found)
        return
    columns = [Column("NUMBER", "right", keep=True, optional=True), Column("PAGLET"), Column("WHAT"),
               Column("FROM", optional=True), Column("HOST"), Column("WAITS", keep=True), Column("UNTIL", keep=True),
               Column("REASON", optional=True)]  # fmt: skip
    table = Table(columns, "Nothing waits.")
    for each in found:
        what = each["kind"] if each["what"] == "message" else "(moves there)"
        table.add(str(each.get("number", "")), each["agent_id"], what, each.get("sender") or "",
                  each.get("host_name") or each["host_url"], age(each["kept_at"]), clock(each["expires_at"]),
                  each.get("reason", ""))  # fmt: skip
    out.table(table)


def dead_letters(
    ctx: typer.Context,
    action: Annotated[
        Action, typer.Argument(metavar="[list|replay|drop]", help="What to do.", show_default="list")
    ] = Action.LIST,
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", min=1, help="Which letter.", show_default=False)
    ] = None,
    *,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """List the messages that could not be delivered; send one again, or forget it."""
    if (action is Action.LIST) is not (number is None):
        raise UsageError(
            "list takes no NUMBER"
            if action is Action.LIST
            else f"which letter to {action.value}? Give its NUMBER"
        )
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        if number is None:
            _list(host, out)
        elif action is Action.REPLAY:
            _say(
                out,
                host.ask(api.DEAD_LETTERS_REPLAY, api.DeadLetterParams(number=number)),
                "on its way again",
            )
        else:
            done = host.ask(api.DEAD_LETTERS_DROP, api.DeadLetterParams(number=number))
            if not done["dropped"]:
                raise HostError(f"there is no dead letter {number} on this host")
            _say(out, done, "dropped")


def _say(out: Output, document: Any, text: str) -> None:
    if out.as_json:
        out.document(document)
    else:
        out.text(text)


def _list(host: LocalHost, out: Output) -> None:
    found = list(_pages(host, api.DEAD_LETTERS_LIST, "dead_letters"))
    if out.as_json:
        out.document(found)
        return
    columns = [Column("NUMBER", "right", keep=True), Column("PAGLET"), Column("KIND"), Column("FROM", optional=True),
               Column("HOST", optional=True), Column("SINCE", keep=True), Column("REASON")]  # fmt: skip
    table = Table(columns, "There are no dead letters.")
    for each in found:
        reason = f"{each['reason']} (it may have been delivered)" if each["in_doubt"] else each["reason"]
        table.add(str(each["number"]), each["agent_id"], each["kind"], each["sender"] or "", each["host_url"],
                  age(each["died_at"]), reason)  # fmt: skip
    out.table(table)


def _waiting(host: LocalHost) -> Iterator[dict[str, Any]]:
    cursor = ""
    while cursor is not None:
        page = host.ask(api.OUTBOX_PAGLETS, api.PagletsWaitingParams(limit=_PAGE, cursor=cursor))
        yield from page["paglets"]
        cursor = page["cursor"]


def _pages(host: LocalHost, method: str, name: str) -> Iterator[dict[str, Any]]:
    cursor = 0
    while cursor is not None:
        page = host.ask(method, api.NumberedListParams(limit=_PAGE, cursor=cursor))
        yield from page[name]
        cursor = page["cursor"]
