"""From what a person types to the one paglet that is meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edge.cli.failures import CommandError
from paglets.core.errors import InvalidAgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.cli.arguments import PagletName
    from edge.cli.gateway import LocalHost

_MOST_SHOWN = 8
_MADE_BY_A_HOST = re.compile(r"[0-9a-f]{32}")


class Found(NamedTuple):
    """A paglet, and the host that has it."""

    agent_id: str
    host_url: str
    host_name: str


def find(host: LocalHost, name: PagletName) -> Found:
    """The paglet of that id, the only one whose id begins so, or the one at the host that is named.

    ``InvalidAgentError`` when there is none; ``CommandError`` with the candidates when there are several.
    """
    told = host.locate(name.prefix, name.host)
    return choose(name, [Found(**_fields(place)) for place in told["places"]], told["silent"])


def find_to_change(host: LocalHost, name: PagletName) -> Found:
    """The same for a command that changes what it finds; an id that somebody chose has to be written whole.

    What begins like ``lamp.10`` may be the whole id of ``lamp.1``, on a host that is away; no host makes an id that
    is the beginning of another.
    """
    found = find(host, name)
    if found.agent_id != name.prefix and not _MADE_BY_A_HOST.fullmatch(found.agent_id):
        raise CommandError(
            f"no paglet {name.prefix!r} can be reached, only {found.agent_id}; if that is meant, write its id whole: "
            f"{name.prefix!r} may be another one, on a host that is away"
        )
    return found


def choose(name: PagletName, places: Sequence[Found], silent: Sequence[str] = ()) -> Found:
    """The one that is meant among those whose id begins so; the asked host's own come first.

    ``silent``: hosts that could not be asked; it may be on one of them.
    """
    exact = [place for place in places if place.agent_id == name.prefix]
    if exact:
        return exact[0]
    ids = {place.agent_id for place in places}
    if not ids:
        where = f"on host {name.host}" if name.host else "on the hosts of this mesh that can be reached"
        away = f"; it may be on {_some(silent)}, which did not answer" if silent else ""
        raise InvalidAgentError(
            f"there is no paglet {name.prefix!r} {where}; `paglets ps --all` lists those there are{away}"
        )
    if len(ids) > 1:
        raise CommandError(f"{name.prefix!r} could be any of {_some(sorted(ids))}; write more of the id")
    return places[0]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"{', '.join(names[:_MOST_SHOWN])}{more}"


def _fields(place: dict[str, str]) -> dict[str, str]:
    return {field: place[field] for field in Found._fields}
