"""JSON reads over GET: found, paged, refused, broken."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import HostError, InvalidAgentError, RemoteHostError
from paglets.remote.wire.http_get import parse_head
from paglets.remote.wire.peer import Peer, PeerKind
from paglets.remote.wire.reads import BadQueryError, Query, ReadTable

if TYPE_CHECKING:
    from tests.wire.site import Site

SOMEBODY = Peer(PeerKind.ADMIN)


async def test_members_admins_and_local_callers_read(site: Site) -> None:
    rig = await site.rig()
    member, admin = site.pool(), site.pool(site.admin())
    assert json.loads(await member.fetch(rig.address, "/health")) == {"name": "rig", "peer": "member"}
    assert json.loads(await admin.fetch(rig.address, "/health"))["peer"] == "admin"


async def test_named_parts_are_decoded_and_literal_parts_win(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    assert json.loads(await pool.fetch(rig.address, "/agents/known%2Fone")) == {"agent_id": "known/one"}
    assert json.loads(await pool.fetch(rig.address, "/agents/known%2Fone/state")) == {"agent_id": "known/one"}


async def test_an_unknown_id_is_a_404_and_raises_as_its_class(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(InvalidAgentError, match="no paglet 'x' here"):
        await pool.fetch(rig.address, "/agents/x")


@pytest.mark.parametrize("path", ["/nothing", "/agents/known/one/more", "/", "//", "/health/x"])
async def test_an_unknown_path_is_an_error_that_names_it(site: Site, path: str) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(HostError, match="nothing to read at"):
        await pool.fetch(rig.address, path)


@pytest.mark.parametrize(
    "query", ["state=dead", "limit=0", "limit=-1", "limit=x", "limit=9" + "9" * 30, "&&&=", "a"]
)
async def test_a_bad_query_is_an_error_that_names_the_parameter(site: Site, query: str) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(HostError, match=r"state must be|limit must be|query cannot be read"):
        await pool.fetch(rig.address, f"/agents?{query}")


async def test_lists_come_in_pages(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = json.loads(await pool.fetch(rig.address, f"/agents?limit=5000&cursor={cursor}"))
        assert len(page["agents"]) <= rig.settings.max_page
        seen += page["agents"]
        cursor = page["cursor"]
    assert seen == list(range(5000))


async def test_a_mistake_of_the_host_is_a_500(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(HostError, match="ZeroDivisionError"):
        await pool.fetch(rig.address, "/broken")
    assert "a read failed" in caplog.text


async def test_a_host_that_is_not_ready_says_so(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    rig.ready = False
    assert json.loads(await pool.fetch(rig.address, "/health"))
    with pytest.raises(RemoteHostError, match="status 503"):
        await pool.fetch(rig.address, "/readyz")
    rig.opened = False
    with pytest.raises(HostError, match="starting or stopping"):
        await pool.fetch(rig.address, "/health")
    assert json.loads(await pool.fetch(rig.address, "/healthz")) == {"ok": True}
    with pytest.raises(RemoteHostError, match="status 503"):
        await pool.fetch(rig.address, "/readyz")


async def test_large_answers_arrive_whole(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    for size in (100_000, 5_000_000):
        assert len(await pool.fetch(rig.address, f"/large?size={size}")) == size + 2


async def test_an_answer_over_the_bound_is_not_read(site: Site) -> None:
    rig, pool = await site.rig(), site.pool(max_response_bytes=1000)
    with pytest.raises(RemoteHostError, match="more than are read"):
        await pool.fetch(rig.address, "/large?size=2000")


async def test_reads_are_bounded_in_time_at_both_ends(site: Site) -> None:
    rig, patient = await site.rig(read_timeout=0.1), site.pool()
    with pytest.raises(HostError, match="too busy"):
        await patient.fetch(rig.address, "/slow")
    with pytest.raises(RemoteHostError, match="did not answer in time"):
        await patient.fetch(rig.address, "/slow", timeout=0.02)


async def test_reads_run_side_by_side(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    slow = asyncio.ensure_future(pool.fetch(rig.address, "/slow"))
    assert await asyncio.gather(*(pool.fetch(rig.address, "/health") for _ in range(10)))
    rig.release.set()
    assert await slow == b"null"


@given(st.text())
def test_every_path_is_found_or_not(path: str) -> None:
    async def read(query: Query) -> None: ...

    table = ReadTable({"/agents/{agent_id}/state": read, "/agents": read, "/": read})
    found = table.find(path)
    assert found is None or set(found[1]) <= {"agent_id"}


@given(st.dictionaries(st.text(), st.text()))
def test_every_query_is_read_or_refused(args: dict[str, str]) -> None:
    query = Query(SOMEBODY, {}, args)
    for look in (lambda: query.limit, lambda: query.integer("n", 3), lambda: query.choice("c", ("a", "b"))):
        try:
            look()
        except BadQueryError:
            continue


@given(st.binary() | st.binary().map(lambda tail: b"HTTP/1.1 200 OK\r\nContent-Length: " + tail))
def test_every_response_head_is_read_or_refused(head: bytes) -> None:
    try:
        status, length = parse_head(head)
    except ValueError:
        return
    assert 0 <= status <= 999
    assert length >= 0
