"""Where a paglet is, and which hosts could not be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.runtime_values import ServiceScope
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from paglets.remote.wire.pool import LinkPool
from tests.host.agents import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.wire.addresses import HostAddress
    from paglets.remote.wire.pending import Pending
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def located(host: Host, prefix: str) -> dict[str, Any]:
    params = api.LocateParams(prefix=prefix)
    return msgspec.json.decode(host.client.call(host.address, api.PAGLETS_LOCATE, params, timeout=10.0))


def test_hosts_that_do_not_answer_are_told(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    agent_id = b.create(Recorder).agent_id
    found = located(a, agent_id)
    assert [place["host_name"] for place in found["places"]] == ["b"]
    assert found["silent"] == []
    paglets_mesh.stop("b")
    assert located(a, agent_id) == {"places": [], "silent": ["b"]}


def _locate(a: Host, b: Host, agent_id: str) -> bool:
    return located(a, agent_id)["places"][0]["host_name"] == b.name


def _look_up(a: Host, b: Host, agent_id: str) -> bool:
    return [each.host_name for each in a.lookup_services(f"of {agent_id}", scope=ServiceScope.MESH)] == [
        b.name
    ]


def _retract(a: Host, b: Host, agent_id: str) -> bool:
    return a.retract(b.address, agent_id).host_url == a.address


def _require(a: Host, b: Host, agent_id: str) -> bool:
    del agent_id
    ticket = TransferTicket(b.name, required_capabilities=("agents:receive",))
    return a.create(Recorder).dispatch(ticket).host_url == b.address


@pytest.mark.parametrize(
    ("method", "ask"),
    [
        (api.PAGLETS_LOCATE, _locate),
        (api.SERVICES_LOOKUP, _look_up),
        (api.PAGLETS_INFO, _retract),
        (api.HOST_HEALTH, _require),
    ],
)
def test_a_host_whose_connection_is_lost_before_it_answers_is_asked_anew(
    a: Host, b: Host, monkeypatch: pytest.MonkeyPatch, method: str, ask: Callable[[Host, Host, str], bool]
) -> None:
    agent_id = b.create(Recorder).agent_id
    b.advertise_service(agent_id, f"of {agent_id}", scope=ServiceScope.MESH)
    really = LinkPool.begin
    asked: list[float] = []

    def begin(
        pool: LinkPool, address: HostAddress, called: str, params: bytes, timeout: float | None = None
    ) -> Pending[bytes]:
        answer = really(pool, address, called, params, timeout)
        if called == method and address.host_id == b.host_id:
            assert timeout is not None
            asked.append(timeout)
            if len(asked) == 1:
                pool.discard_links()
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(LinkPool, "begin", begin)
        assert ask(a, b, agent_id)
    assert len(asked) == 2
    assert asked[1] < asked[0]  # one bound for both
