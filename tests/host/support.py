"""What the tests of the host share: hosts, and waiting for a condition with a bound."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from paglets.core.messages import Message
from paglets.runtime.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.context_events import ContextEvent
    from paglets.remote.proxy import PagletProxy

T = TypeVar("T")


class Pair(NamedTuple):
    """Two hosts that know each other."""

    a: Host
    b: Host


def start_host(name: str, root: Path, **options: Any) -> Host:
    """A started host with its store under ``root / name`` and the mesh of ``root / "mesh"``; it finds nobody itself."""
    own = {"mesh_dir": root / "mesh", "persistence_dir": root / name, "mesh_lan_discovery": False}
    options = {**own, **options}
    host = Host(name, **options)
    host.start_background()
    return host


def eventually(condition: Callable[[], T], *, within: float = 10.0) -> T:
    """Wait until the condition is true; what it gave."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return value


def ask(proxy: PagletProxy, kind: str, /, **args: Any) -> Any:
    """Send a message with named arguments; the reply."""
    return proxy.send(Message(kind, args), timeout=20.0)


def events_of(host: Host, agent_id: str, *kinds: str) -> list[ContextEvent]:
    """What the host has told of a paglet, oldest first."""
    events = host.list_events(limit=1000)
    return [each for each in events if each.agent_id == agent_id and (not kinds or each.kind in kinds)]


def exists(pid: int) -> bool:
    """Whether that process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def read_all(reader: Host, url: str, what: str, state: str) -> list[dict[str, Any]]:
    """All pages of a list that a host gives."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = reader.client.get_json(f"{url}/{what}?state={state}&limit=1000&cursor={cursor}")
        found += page[what]
        cursor = page.get("cursor")
    return found
