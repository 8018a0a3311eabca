"""Commands that watch: events, logs."""

import json
import time
from collections.abc import Iterator
from typing import Any

import typer

from edge.cli import options
from edge.cli.arguments import PagletName
from edge.cli.gateway import LocalHost
from edge.cli.naming import Found, find
from edge.cli.output import Output
from edge.cli.session import session
from edge.cli.units import clock
from paglets.core.errors import InvalidAgentError
from paglets.remote import api

_PAGE = 1000
_POLL = 0.5
"""Seconds between two looks at a paglet's output."""


def events(
    ctx: typer.Context,
    *,
    since: options.Since = 0,
    follow: options.Follow = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Show what happened on the local host, oldest first."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        if follow:
            with host.subscribe(
                api.EVENTS_SUBSCRIBE, api.EventsListParams(since=since, limit=_PAGE)
            ) as arriving:
                for event in arriving:
                    _show_event(out, json.loads(event))
        elif out.as_json:
            out.document(list(_remembered(host, since)))
        else:
            for event in _remembered(host, since):
                _show_event(out, event)


def logs(
    ctx: typer.Context,
    paglet: options.Id,
    *,
    follow: options.Follow = False,
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Show what a paglet printed on the host where it is."""
    with session(ctx, data_dir=data_dir, as_json=as_json) as (host, out):
        found = find(host, paglet)
        if follow:
            for line in _printed(host, found):
                out.json_line(line) if out.as_json else out.text(line["line"])
                out.stream.flush()
            return
        lines = list(_lines(host, found, 0))
        if out.as_json:
            out.document(lines)
        for line in [] if out.as_json else lines:
            out.text(line["line"])


def _remembered(host: LocalHost, since: int) -> Iterator[dict[str, Any]]:
    """Every event that the host still knows, page by page."""
    while True:
        page = host.ask(api.EVENTS_LIST, api.EventsListParams(since=since, limit=_PAGE))["events"]
        yield from page
        if len(page) < _PAGE:
            return
        since = page[-1]["event_id"]


def _show_event(out: Output, event: dict[str, Any]) -> None:
    if out.as_json:
        out.json_line(event)
        return
    facts: dict[str, Any] = {
        "": event.get("agent_id"),
        "class": event.get("class_name"),
        "service": event.get("service_name"),
        **(event.get("data") or {}),
        "error": event.get("error"),
    }
    words = [f"{key}={Output.plain(value)}" if key else str(value) for key, value in facts.items() if value]
    when = clock(event["timestamp"])
    out.text(f"{event['event_id']:>6}  {when}  {event['kind']:<20}  {'  '.join(words)}".rstrip())
    out.stream.flush()


def _lines(host: LocalHost, found: Found, since: int) -> Iterator[dict[str, Any]]:
    while True:
        params = api.LogsReadParams(agent_id=found.agent_id, since=since, limit=_PAGE)
        page = host.ask(api.LOGS_READ, params, at=found.host_url)["lines"]
        yield from page
        if len(page) < _PAGE:
            return
        since = page[-1]["seq"]


def _printed(host: LocalHost, found: Found) -> Iterator[dict[str, Any]]:
    """Lines as they come, until the paglet is no more; when it moves, those of its next host."""
    since = 0
    while True:
        for line in _lines(host, found, since):
            since = line["seq"]
            yield line
        time.sleep(_POLL)
        try:
            now = find(host, PagletName(found.agent_id))
        except InvalidAgentError:
            return
        if now.host_url != found.host_url:
            found, since = now, 0
