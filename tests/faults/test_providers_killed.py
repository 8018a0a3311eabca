"""The host of a service dies, or hangs, while it is looked up or leased: whoever asks is answered in time."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.errors import PagletError
from paglets.core.runtime_values import ServiceScope
from paglets.remote import api
from paglets.serialization.codec import qualified_name
from tests.faults.site import eventually
from tests.services.agents import Calculator
from tests.standstill import go_on, stop

if TYPE_CHECKING:
    from tests.faults.site import Site

PATIENCE = 2.0


def calculator(site: Site, host: str) -> str:
    params = api.CreateParams(class_name=qualified_name(Calculator), state=msgspec.Raw(b'{"scope":"mesh"}'))
    return site.ask(host, api.PAGLETS_CREATE, params)["agent_id"]


def lookup(site: Site) -> list[str]:
    """Names of the hosts on which host a finds a calculator."""
    wanted = api.LookupParams(name="calculator", scope=ServiceScope.MESH)
    found: list[dict[str, Any]] = site.ask("a", api.SERVICES_LOOKUP, wanted)["services"]
    return sorted(each["host_name"] for each in found)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGSTOP, id="hanging", marks=pytest.mark.slow),
    ],
)
def test_a_search_and_a_lease_end(site: Site, how: signal.Signals) -> None:
    """It is online for its peers still; what it offers is found no more, and what others offer is."""
    own, other = calculator(site, "a"), calculator(site, "b")
    assert lookup(site) == ["a", "b"]
    lease = api.LeaseParams(agent_id=other, ttl=1.0, host_url=site["b"].url)
    assert site.ask("a", api.SERVICES_LEASE, lease)
    process = site["b"].process
    assert process is not None
    try:
        if how is signal.SIGKILL:
            site["b"].kill()
        else:
            stop(process.pid)
        begun = time.monotonic()
        assert lookup(site) == ["a"]
        assert time.monotonic() - begun < PATIENCE + 1.0
        call = site.soon(lambda: site.ask("a", api.SERVICES_LEASE, lease, timeout=5.0))
        assert isinstance(call.exception(10.0), PagletError)
        assert site.ask("a", api.SERVICES_LEASE, api.LeaseParams(agent_id=own, ttl=1.0))
    finally:
        if how is signal.SIGSTOP:
            go_on(process.pid)
        else:
            site["b"].start()
    eventually(lambda: lookup(site) in (["a", "b"], ["a"]))
    site.at_rest()
