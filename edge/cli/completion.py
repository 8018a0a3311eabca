"""What the shell offers when a person presses Tab: ids of paglets, names of hosts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.cli.failures import CommandError
from edge.cli.session import local_host
from paglets.core.errors import PagletError
from paglets.remote import api

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIMEOUT = 2.0
_MOST = 100


def complete_ids(incomplete: str) -> list[tuple[str, str]]:
    """Paglets of the local host whose id begins so, with their class."""
    params = api.PagletsListParams(state="all", limit=1000)
    agents = _read(api.PAGLETS_LIST, params, "agents")
    found = ((agent["agent_id"], agent["class_name"]) for agent in agents)
    return [pair for pair in found if pair[0].startswith(incomplete)][:_MOST]


def complete_hosts(incomplete: str) -> list[tuple[str, str]]:
    """Hosts of the mesh whose name begins so, with their address."""
    hosts = _read(api.HOSTS_LIST, api.HostsListParams(), "hosts")
    found = ((host["name"], host["url"]) for host in hosts)
    return [pair for pair in found if pair[0].startswith(incomplete)][:_MOST]


def _read(method: str, params: api.Params, key: str) -> Iterable[dict[str, str]]:
    """What the local host tells; nothing when there is none: Tab must never print an error."""
    logging.disable(logging.CRITICAL)
    try:
        with local_host(None) as host:
            return host.ask(method, params, timeout=_TIMEOUT)[key]
    except (CommandError, PagletError, OSError, KeyError, ValueError):
        return []
