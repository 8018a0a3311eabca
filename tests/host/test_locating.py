"""Where a paglet is, and which hosts could not be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.remote import api
from tests.host.agents import Recorder

if TYPE_CHECKING:
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
