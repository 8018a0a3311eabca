"""Where a paglet is, and which hosts could not be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.remote import api
from paglets.remote.wire.pool import LinkPool
from tests.host.agents import Recorder

if TYPE_CHECKING:
    import pytest

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


def test_a_host_whose_connection_is_lost_before_it_answers_is_asked_anew(
    a: Host, b: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_id = b.create(Recorder).agent_id
    really = LinkPool.begin
    asked: list[float] = []

    def begin(
        pool: LinkPool, address: HostAddress, method: str, params: bytes, timeout: float | None = None
    ) -> Pending[bytes]:
        answer = really(pool, address, method, params, timeout)
        if method == api.PAGLETS_LOCATE and address.host_id == b.host_id:
            assert timeout is not None
            asked.append(timeout)
            if len(asked) == 1:
                pool.discard_links()
        return answer

    monkeypatch.setattr(LinkPool, "begin", begin)
    assert [place["host_name"] for place in located(a, agent_id)["places"]] == ["b"]
    assert len(asked) == 2
    assert asked[1] < asked[0]  # one bound for both
