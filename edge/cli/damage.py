"""The command about what is damaged in a host's store: damaged."""

from typing import Annotated

import typer

from edge.cli import options
from edge.cli.session import session
from edge.cli.tables import Column, Table
from paglets.remote import api, store_api


def damaged(
    ctx: typer.Context,
    *,
    forget: Annotated[
        str, typer.Option("--forget", metavar="ID", help="Give this one up for good.", show_default=False)
    ] = "",
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """List what is damaged in the local host's store, and is kept out of use; give one of it up."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        if forget:
            done = host.ask(store_api.STORE_FORGET, store_api.ForgetParams(id=forget))
        else:
            done = host.ask(store_api.STORE_DAMAGED, api.NoParams())
    if out.as_json:
        out.document(done)
    elif forget:
        given_up = done["forgotten"]
        out.text(f"{given_up['table']} {given_up['key']} is given up, and unknown from now on")
    else:
        columns = [Column("ID", keep=True), Column("WHAT", keep=True), Column("OF"), Column("REASON")]
        table = Table(columns, "Nothing is damaged, as far as it has been looked at.")
        for each in done["damaged"]:
            table.add(each["id"], each["table"], each["key"], each["reason"])
        out.table(table)
