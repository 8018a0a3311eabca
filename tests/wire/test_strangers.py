"""Who gets in, who does not, and that each refusal is counted, named and cheap."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import AuthenticationError, HostError, RemoteHostError
from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.keys import HostKey
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.member_trust import MemberTrust
from paglets.remote.wire.strangers import Refusal, SecurityReport, Strangers
from paglets.testing.clock import Clock
from tests.wire.site import NOTHING, Rig, Site, echo, until

if TYPE_CHECKING:
    from collections.abc import Iterable


def anonymous(trust: MemberTrust) -> ssl.SSLContext:
    """A TLS client without a certificate that does not care who answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def talk(rig: Rig, data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Send bytes to the port, and everything that comes back until the host hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.listener.port, ssl=context)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def get(path: str, *, method: str = "GET", headers: Iterable[str] = ()) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def reported(rig: Rig, reason: Refusal) -> SecurityReport:
    await until(lambda: any(report.reason is reason for report in rig.reports))
    return next(report for report in rig.reports if report.reason is reason)


async def still_serves(site: Site, rig: Rig) -> None:
    assert await site.pool().call(rig.address, "echo", echo("fine"), timeout=5) == b'"fine"'


async def test_without_a_certificate_only_the_probes_answer(site: Site) -> None:
    rig = await site.rig()
    context = anonymous(rig.trust)
    assert b"200 OK" in await talk(rig, get("/healthz"), context)
    assert b"200 OK" in await talk(rig, get("/readyz"), context)
    assert not rig.reports
    for path in ("/health", "/agents", "/nothing", "/", "/v1/stream", "/v1/control"):
        answer = await talk(rig, get(path), context)
        assert b"401 Unauthorized" in answer
        assert b"AuthenticationError" in answer
    report = await reported(rig, Refusal.NO_CERTIFICATE)
    assert report.address.startswith("127.0.0.1:")
    await still_serves(site, rig)


async def test_an_anonymous_upgrade_is_refused_before_it_is_one(site: Site) -> None:
    rig = await site.rig()
    upgrade = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: paglets.v1",
    ]
    answer = await talk(rig, get("/v1/control", headers=upgrade), anonymous(rig.trust))
    assert b"401 Unauthorized" in answer


async def test_a_certificate_of_another_mesh_is_refused_at_both_ends(site: Site) -> None:
    rig = await site.rig()
    with pytest.raises(AuthenticationError, match=f"{rig.address.url} is not of this mesh"):
        await site.pool(site.member(site.other_mesh)).call(rig.address, "echo", NOTHING, timeout=5)

    class Careless(MemberTrust):
        def client_context(self) -> ssl.SSLContext:
            context = super().client_context()
            context.verify_mode = ssl.CERT_NONE
            return context

    credentials = MeshCredentials.for_host(site.other_mesh, HostKey.generate(), "mallory")
    context = Careless(credentials).client_context()
    assert b"200" not in await talk(rig, get("/healthz"), context)
    await reported(rig, Refusal.FOREIGN_CERTIFICATE)
    await still_serves(site, rig)


async def test_plain_http_on_the_tls_port_is_named_as_such(site: Site) -> None:
    rig = await site.rig()
    assert b"HTTP/1.1 200" not in await talk(rig, get("/healthz"))
    await reported(rig, Refusal.PLAIN_HTTP)
    await still_serves(site, rig)


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 100, b"\xff" * 5000, b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" * 9]
)
async def test_garbage_is_refused(site: Site, garbage: bytes) -> None:
    rig = await site.rig(handshake_timeout=0.5)
    assert b"HTTP" not in await talk(rig, garbage)
    await until(lambda: rig.reports)
    assert rig.reports[0].reason in {Refusal.GARBAGE, Refusal.HANDSHAKE_TIMEOUT}
    await still_serves(site, rig)


async def test_garbage_inside_tls_is_refused(site: Site) -> None:
    rig = await site.rig()
    assert b"200" not in await talk(rig, b"\x00\x01\x02\r\n\r\n", anonymous(rig.trust))
    await reported(rig, Refusal.GARBAGE)


async def test_a_silent_stranger_is_cut_off_in_time(site: Site) -> None:
    rig = await site.rig(handshake_timeout=0.2)
    assert await talk(rig, b"") == b""
    assert "TLS handshake" in (await reported(rig, Refusal.HANDSHAKE_TIMEOUT)).detail


async def test_a_stranger_that_shakes_hands_and_then_dribbles_is_cut_off_in_time(site: Site) -> None:
    rig = await site.rig(handshake_timeout=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.listener.port, ssl=anonymous(rig.trust))

    async def dribble() -> None:
        while True:
            writer.write(b"G")
            await asyncio.sleep(0.02)

    dribbling = asyncio.ensure_future(dribble())
    try:
        async with asyncio.timeout(3):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
    finally:
        dribbling.cancel()
        writer.transport.abort()
    await reported(rig, Refusal.HANDSHAKE_TIMEOUT)


async def test_a_request_over_the_bound_is_cut_off(site: Site) -> None:
    rig = await site.rig(max_request_bytes=2000)
    context = anonymous(rig.trust)
    assert b"200 OK" in await talk(rig, get("/healthz", headers=["X-A: " + "a" * 1000]), context)
    assert b"200" not in await talk(rig, get("/healthz", headers=["X-A: a"] * 400), context)
    await until(lambda: rig.reports)


async def test_a_half_closed_connection_is_let_go(site: Site) -> None:
    rig = await site.rig(handshake_timeout=5)
    with socket.create_connection(("127.0.0.1", rig.listener.port)) as half:
        half.shutdown(socket.SHUT_WR)
        await reported(rig, Refusal.DISCONNECTED)


async def test_a_flood_of_silent_strangers_does_not_keep_members_out(site: Site) -> None:
    rig = await site.rig(max_pending=8, handshake_timeout=5)
    flood = [socket.create_connection(("127.0.0.1", rig.listener.port)) for _ in range(50)]
    try:
        await reported(rig, Refusal.TOO_MANY)
        await still_serves(site, rig)
        assert rig.listener.counts["too-many"] >= 42
    finally:
        for each in flood:
            each.close()


async def test_only_get_is_answered(site: Site) -> None:
    rig = await site.rig()
    for method in ("POST", "HEAD", "PUT", "OPTIONS", "get"):
        answer = await talk(rig, get("/healthz", method=method), anonymous(rig.trust))
        assert b"405 Method Not Allowed" in answer
        assert b"Allow: GET" in answer
    await reported(rig, Refusal.BAD_METHOD)


async def test_every_get_closes_its_connection(site: Site) -> None:
    rig = await site.rig()
    answer = await talk(rig, get("/healthz") + get("/healthz"), anonymous(rig.trust))
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_known_key_is_insisted_on(site: Site) -> None:
    rig, other = await site.rig(), await site.rig()
    reports: list[SecurityReport] = []
    pool = site.pool(reports=reports)
    wrong = HostAddress(other.address.url, rig.key.host_id)
    with pytest.raises(AuthenticationError, match=f"is {other.key.host_id}, not {rig.key.host_id}"):
        await pool.call(wrong, "echo", NOTHING, timeout=5)
    assert [report.reason for report in reports] == [Refusal.WRONG_HOST]


async def test_an_admin_is_no_host_to_call(site: Site) -> None:
    class AdminAtTheDoor(Rig):
        @property
        def trust(self) -> MemberTrust:
            return site.admin()

    rig = AdminAtTheDoor(site.mesh, site.directory)
    await rig.start()
    site.stack.push_async_callback(rig.listener.close)
    with pytest.raises((AuthenticationError, RemoteHostError)):
        await site.pool().call(HostAddress(rig.address.url), "echo", NOTHING, timeout=5)


async def test_streams_are_open_to_admins(site: Site) -> None:
    rig = await site.rig()
    async with site.pool(site.admin()).stream(rig.address) as stream:
        await stream.send_header(b"{}")
        await stream.send_trailer(b"{}")
        assert await stream.verdict(5), "who may send what is for those who take it to say"


async def test_a_peer_has_no_more_connections_than_it_may(site: Site) -> None:
    rig = await site.rig(max_connections_per_peer=2)
    trust = site.member()
    pools = [site.pool(trust) for _ in range(3)]
    for pool in pools[:2]:
        await pool.call(rig.address, "echo", NOTHING, timeout=5)
    with pytest.raises(HostError, match="too many connections"):
        await pools[2].call(rig.address, "echo", NOTHING, timeout=5)
    await still_serves(site, rig)  # another member is not kept out
    await pools[0].close()

    await until(lambda: rig.listener.connections == 2)
    await pools[2].call(rig.address, "echo", NOTHING, timeout=5)


async def test_a_peer_that_was_revoked_loses_the_connections_that_it_has(site: Site) -> None:
    rig, other = await site.rig(), await site.rig()
    pool, bystander = site.pool(other.trust), site.pool()
    for each in (pool, bystander):
        await each.call(rig.address, "echo", NOTHING, timeout=5)
    link = await pool.link(rig.address)
    rig.listener.expel(other.key.host_id)
    await until(lambda: not link.is_open)
    assert (await bystander.link(rig.address)).is_open
    link = await bystander.link(rig.address)
    bystander.expel(rig.key.host_id)
    assert not link.is_open
    await still_serves(site, rig)


def test_reports_are_bounded_in_rate_and_say_how_many_they_stand_for() -> None:
    clock = Clock(100.0)
    reports: list[SecurityReport] = []
    strangers = Strangers(reports.append, interval=1.0, clock=clock)
    for number in range(50):
        strangers.refuse(Refusal.GARBAGE, f"10.0.0.{number}:1", "x" * 1000)
    strangers.refuse(Refusal.PLAIN_HTTP, "10.0.0.1:1")
    clock.advance(1.5)
    strangers.refuse(Refusal.GARBAGE, "10.0.0.99:1")
    assert [(report.reason, report.count) for report in reports] == [
        (Refusal.GARBAGE, 1),
        (Refusal.PLAIN_HTTP, 1),
        (Refusal.GARBAGE, 50),
    ]
    assert len(reports[0].detail) <= 200
    assert strangers.counts == {"garbage": 51, "plain-http": 1}


async def test_what_was_held_back_is_reported_at_the_end_of_the_interval() -> None:
    reports: list[SecurityReport] = []
    strangers = Strangers(reports.append, interval=0.05)
    for number in range(5):
        strangers.refuse(Refusal.GARBAGE, f"10.0.0.{number}:1")
    assert [report.address for report in reports] == ["10.0.0.0:1"]
    await until(lambda: len(reports) == 2)
    assert (reports[1].address, reports[1].count) == ("10.0.0.4:1", 4)
    strangers.refuse(Refusal.GARBAGE, "10.0.0.9:1")
    strangers.close()
    assert (reports[2].address, reports[2].count) == ("10.0.0.9:1", 1)
    await asyncio.sleep(0.1)
    assert len(reports) == 3
