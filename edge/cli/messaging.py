"""The command that talks to paglets: send."""

import time
import uuid
from typing import Annotated

import msgspec
import typer

from edge.cli import options
from edge.cli.arguments import json_object, json_value, seconds
from edge.cli.failures import UsageError
from edge.cli.naming import find_to_change
from edge.cli.session import session
from paglets.core.messages import ONEWAY, SYNCHRONOUS
from paglets.remote import api

_REPLY_TIMEOUT = 60.0


def send(
    ctx: typer.Context,
    paglet: options.Id,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="What kind of message it is.", show_default=False)
    ],
    args: Annotated[
        str,
        typer.Argument(metavar="[ARGS-JSON]", help="Named arguments, as a JSON object.", show_default="{}"),
    ] = "{}",
    *,
    arg: Annotated[
        str | None, typer.Option("--arg", metavar="JSON", help="The message's single argument.")
    ] = None,
    oneway: Annotated[bool, typer.Option("--oneway", help="Do not wait for a reply.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", help="Seconds to wait for the reply.")
    ] = _REPLY_TIMEOUT,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Send a message to a paglet and show its reply."""
    if not kind.strip():
        raise UsageError("KIND must not be empty")
    named = bytes(json_object(args, "ARGS-JSON"))
    single = b"null" if arg is None else bytes(json_value(arg, "--arg"))
    seconds(timeout, "--timeout")
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find_to_change(host, paglet)
        params = api.MessageParams(
            agent_id=found.agent_id,
            kind=kind,
            message_id=uuid.uuid4().hex,
            body=msgspec.Raw(b'{"args":%b,"arg":%b,"reply_to":null}' % (named, single)),
            message_type=ONEWAY if oneway else SYNCHRONOUS,
            timestamp=time.time(),
            timeout=timeout,
        )
        doing = f"waiting for the reply of {found.agent_id}"
        answer = host.ask(api.MESSAGE_SEND, params, at=found.host_url, timeout=timeout, doing=doing)
    if oneway:
        out.document({"reply": None, "accepted": True}) if out.as_json else out.text("accepted")
    elif out.as_json:
        out.document({"reply": answer})
    else:
        out.value(answer)
