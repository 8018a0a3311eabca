"""Commands about moves and copies: transfers (list, adopt) and quarantine (list, adopt, drop)."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from edge.cli import options
from edge.cli.failures import UsageError
from edge.cli.gateway import SHORT, LocalHost
from edge.cli.output import Output
from edge.cli.session import session
from edge.cli.tables import Column, Table
from edge.cli.units import age
from paglets.remote import adoption_api, api

_ADOPTING = 30.0
"""Seconds: the target is asked once more, and the paglet's process started."""


class TransferAction(StrEnum):
    """What to do with transfers."""

    LIST = "list"
    ADOPT = "adopt"


class CopyAction(StrEnum):
    """What to do with copies in quarantine."""

    LIST = "list"
    ADOPT = "adopt"
    DROP = "drop"


def transfers(
    ctx: typer.Context,
    action: Annotated[
        TransferAction, typer.Argument(metavar="[list|adopt]", help="What to do.", show_default="list")
    ] = TransferAction.LIST,
    transfer: Annotated[
        str,
        typer.Argument(metavar="[ID]", help="The transfer, or its paglet, or the beginning of that.",
                       show_default=False),
    ] = "",
    *,
    fence: Annotated[
        bool, typer.Option("--fence", help="You know that the copy at the target is lost.")
    ] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:  # fmt: skip
    """List the moves of the local host that are under way or in doubt; take back one whose target is lost."""
    if action is TransferAction.LIST:
        if transfer or fence:
            raise UsageError("list takes no ID; `paglets transfers adopt ID --fence` takes a paglet back")
        with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
            _list_transfers(host, out)
        return
    if not transfer:
        raise UsageError("which transfer to adopt? Give its ID; `paglets transfers` lists them")
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        params = adoption_api.AdoptTransferParams(transfer=transfer, fence=fence)
        adopted = host.ask(
            adoption_api.TRANSFERS_ADOPT, params, timeout=_ADOPTING, doing="asking the target once more"
        )
    _tell_adopted(out, adopted)


def quarantine(
    ctx: typer.Context,
    action: Annotated[
        CopyAction, typer.Argument(metavar="[list|adopt|drop]", help="What to do.", show_default="list")
    ] = CopyAction.LIST,
    copy: Annotated[
        str,
        typer.Argument(metavar="[ID]", help="The paglet, or the beginning of its id.", show_default=False),
    ] = "",
    *,
    life: Annotated[
        str, typer.Option("--life", metavar="LIFE", help="Which copy, if there is more than one.")
    ] = "",
    fence: Annotated[
        bool, typer.Option("--fence", help="You mean this copy to count, and the other one to give way.")
    ] = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """List the copies that gave way to an adopted one; let one count again, or drop it for good."""
    if action is CopyAction.LIST and (copy or life or fence):
        raise UsageError("list takes no ID; adopt and drop do")
    if action is not CopyAction.LIST and not copy:
        raise UsageError(f"which copy to {action.value}? Give the ID of its paglet")
    if fence and action is not CopyAction.ADOPT:
        raise UsageError("--fence goes with adopt")
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        if action is CopyAction.LIST:
            _list_copies(host, out)
        elif action is CopyAction.ADOPT:
            params = adoption_api.AdoptCopyParams(copy=copy, life=life, fence=fence)
            adopted = host.ask(
                adoption_api.COPIES_ADOPT, params, timeout=_ADOPTING, doing="starting the paglet"
            )
            _tell_adopted(out, adopted)
        else:
            dropped = host.ask(adoption_api.COPIES_DROP, adoption_api.CopyParams(copy=copy, life=life))
            if out.as_json:
                out.document(dropped)
            else:
                out.text(f"the copy of {dropped['agent_id']} in life {dropped['life']} is gone")


def copies_of(host: LocalHost, *, at: str = "", timeout: float = SHORT) -> Iterator[dict[str, Any]]:
    """The copies in quarantine at a host, page by page."""
    cursor: str | None = ""
    while cursor is not None:
        page = host.ask(
            adoption_api.COPIES_LIST, adoption_api.CopiesListParams(cursor=cursor), at=at, timeout=timeout
        )
        yield from page["copies"]
        cursor = page.get("cursor")


def _list_transfers(host: LocalHost, out: Output) -> None:
    found = host.ask(api.TRANSFERS_LIST, api.NoParams())["transfers"]
    if out.as_json:
        out.document(found)
        return
    columns = [Column("TRANSFER"), Column("PAGLET"), Column("DIRECTION", keep=True), Column("PEER"),
               Column("STATUS", keep=True)]  # fmt: skip
    table = Table(columns, "No transfers are under way.")
    for each in found:
        table.add(each["transfer_id"], each["agent_id"], each["direction"], each["peer"], each["status"])
    out.table(table)


def _list_copies(host: LocalHost, out: Output) -> None:
    found = list(copies_of(host))
    if out.as_json:
        out.document(found)
        return
    columns = [Column("PAGLET"), Column("CLASS", optional=True), Column("LIFE", keep=True), Column("WAS", keep=True),
               Column("SINCE", keep=True), Column("GAVE WAY TO"), Column("AT")]  # fmt: skip
    table = Table(columns, "No copy is in quarantine.")
    for each in found:
        table.add(each["agent_id"], each["class_name"], each["life"], each["was"], age(each["quarantined_at"]),
                  each["higher_life"], each["higher_host"])  # fmt: skip
    out.table(table)


def _tell_adopted(out: Output, adopted: dict[str, Any]) -> None:
    if out.as_json:
        out.document(adopted)
        return
    out.text(f"{adopted['agent_id']} is {adopted['status']} here, in lineage {adopted['lineage']}")
    if adopted.get("transfer_id"):
        out.text("Its target is asked on; if a copy is there after all, that one goes into quarantine.")
