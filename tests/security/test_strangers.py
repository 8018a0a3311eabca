"""Those who are not of the mesh, at the port of a whole host: refused, named in a ``security`` event."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import PagletError
from paglets.remote.api import HOST_STATUS, NoParams
from paglets.remote.wire.addresses import HostAddress, parse_host_url
from paglets.remote.wire.settings import CONTROL_PATH, STREAM_PATH
from tests.security.watch import alarm, eventually, goes_on, last_event, memory, status_counts

if TYPE_CHECKING:
    from paglets.runtime.host import Host
    from tests.security.intruder import Intruder


def anonymous() -> ssl.SSLContext:
    """TLS without a certificate of one's own, and without a look at the other's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def talk(host: Host, data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Say something to the port; everything that comes back until the host hangs up."""
    endpoint = parse_host_url(host.address)
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=context)
    try:
        writer.write(data)
        async with asyncio.timeout(15):
            return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.transport.abort()


def get(path: str, method: str = "GET", *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def upgrade(path: str) -> bytes:
    return get(
        path, "GET", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: paglets.v1",
    )  # fmt: skip


async def test_without_a_certificate_the_probes_answer_and_nothing_else_does(victim: Host) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await talk(victim, get(path), anonymous())
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"ok":true}')
    paths = [
        "/", "/health", "/hosts", "/agents", "/agents/x", "/agents/x/state", "/events", "/services", "/artifacts",
        "/metrics", "/v1/enrol", CONTROL_PATH, STREAM_PATH, "/healthz/", "/HEALTHZ", "//healthz", "/healthz/../agents",
        "/%68ealthz", "/no/such/path",
    ]  # fmt: skip
    since = await asyncio.to_thread(last_event, victim)
    for request in [get(path) for path in paths] + [
        upgrade(path) for path in (CONTROL_PATH, STREAM_PATH, "/healthzz")
    ]:
        answer = await talk(victim, request, anonymous())
        assert answer.startswith(b"HTTP/1.1 401"), (request, answer)
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert (error["type"], error["notes"]) == ("AuthenticationError", [])
    await alarm(victim, "no-certificate", since)
    await goes_on(victim)


async def test_a_certificate_of_another_mesh_opens_nothing(victim: Host, foreign: Intruder) -> None:
    since = await asyncio.to_thread(last_event, victim)
    async with foreign.pool() as pool:
        with pytest.raises(PagletError):
            await pool.call(HostAddress(victim.address), HOST_STATUS, NoParams(), timeout=5)
    careless = foreign.context
    careless.verify_mode = ssl.CERT_NONE  # it would talk to anybody
    for request in (get("/healthz"), get("/agents"), upgrade(CONTROL_PATH), upgrade(STREAM_PATH)):
        assert b"HTTP" not in await talk(victim, request, careless)
    event = await alarm(victim, "foreign-certificate", since)
    assert event["error"]
    await goes_on(victim)


@pytest.mark.parametrize("request_", [get("/agents"), get("/v1/control", "POST"), b"PRI * HTTP/2.0\r\n\r\n"])
async def test_plain_http_is_refused(victim: Host, request_: bytes) -> None:
    since = await asyncio.to_thread(last_event, victim)
    assert b"200" not in await talk(victim, request_)
    if request_.startswith(b"PRI"):
        await alarm(victim, "garbage", since)
    else:
        await alarm(victim, "plain-http", since)


async def test_garbage_is_refused(victim: Host) -> None:
    since = await asyncio.to_thread(last_event, victim)
    for garbage in (
        b"\x00" * 64,
        b"\xff" * 100_000,
        b"SSH-2.0-OpenSSH\r\n",
        b"\x16\x03\x01\x02\x00\x01" + b"\xaa" * 600,
    ):
        assert b"HTTP" not in await talk(victim, garbage)
    await alarm(victim, "garbage", since)
    await goes_on(victim)


async def test_garbage_inside_of_tls_is_refused(victim: Host) -> None:
    since = await asyncio.to_thread(last_event, victim)
    before = (await asyncio.to_thread(status_counts, victim)).get("garbage", 0)
    pieces = (
        b"\x00" * 20_000,
        b"GET\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    )
    for piece in pieces:
        assert b"200 OK" not in await talk(victim, piece, anonymous())
    await eventually(
        lambda: status_counts(victim).get("garbage", 0) == before + len(pieces), "all of them are counted"
    )
    await alarm(victim, "garbage", since)
    await goes_on(victim)


async def test_a_request_with_a_body_or_another_method_is_refused(victim: Host, admin: Intruder) -> None:
    for method in ("POST", "HEAD", "PUT", "DELETE", "CONNECT", "TRACE"):
        assert b"405" in await talk(victim, get("/agents", method), admin.context)
    since = await asyncio.to_thread(last_event, victim)
    smuggled = get("/healthz", "GET", "Content-Length: 40") + get("/agents")
    answer = await talk(victim, smuggled, anonymous())
    assert answer.count(b"HTTP/1.1") <= 1
    assert b"agents" not in answer
    assert since >= 0
    await goes_on(victim)


async def test_paths_that_climb_or_hide_find_nothing(victim: Host, admin: Intruder) -> None:
    for path in (
        "/agents/../../etc/passwd", "/agents/%2e%2e/%2e%2e/etc/passwd", "/agents//state", "/agents/%00",
        "/agents/a%0d%0ab",
        "/agents/" + "x" * 5000, "/agents/%ff%fe", "/agents/\u202e".encode().decode("latin-1"), "/agents?limit=-1",
        "/agents?limit=99999999999999999999", "/agents?cursor=%00", "/agents?state=../..", "/events?since=1e9",
        "/agents?limit=1&limit=2&" + "a=1&" * 500, "/agents/x/state/y",
    ):  # fmt: skip
        answer = await talk(victim, get(path), admin.context)
        status = int(answer[9:12] or 0)
        assert status in {400, 404, 200} or not answer, (path, answer)
        if answer:
            json.loads(answer.partition(b"\r\n\r\n")[2])
    await goes_on(victim)


async def test_slow_and_silent_strangers_do_not_keep_others_out(victim: Host, mallory: Intruder) -> None:
    """More half-open connections than the host keeps; members still get through at once."""
    endpoint = parse_host_url(victim.address)
    before = memory()
    since = await asyncio.to_thread(last_event, victim)
    silent = [socket.create_connection((endpoint.host, endpoint.port)) for _ in range(300)]
    try:
        for number, each in enumerate(silent):
            with contextlib.suppress(OSError):
                each.send(b"\x16\x03\x01\x02\x00"[: number % 6])
        begun = time.monotonic()
        assert await mallory.ask(victim.address, HOST_STATUS, NoParams(), timeout=5)
        await goes_on(victim)
        assert time.monotonic() - begun < 5
        await alarm(victim, "too-many", since)
        assert memory() - before < 100 * 1024 * 1024
    finally:
        for each in silent:
            each.close()
    await goes_on(victim)


@pytest.mark.slow
async def test_a_handshake_that_never_ends_is_cut_off(victim: Host) -> None:
    endpoint = parse_host_url(victim.address)
    since = await asyncio.to_thread(last_event, victim)
    begun = time.monotonic()
    assert await talk(victim, b"") == b""
    await alarm(victim, "handshake-timeout", since)
    assert time.monotonic() - begun < 12
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=anonymous())
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    async with asyncio.timeout(12):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.transport.abort()


async def test_a_flood_of_handshakes_is_survived(victim: Host, mallory: Intruder) -> None:
    context = anonymous()

    async def knock() -> None:
        with contextlib.suppress(OSError, TimeoutError):
            assert (await talk(victim, get("/agents"), context))[9:12] in {b"401", b"503"}

    await asyncio.gather(*(knock() for _ in range(90)), goes_on(victim))
    assert await mallory.ask(victim.address, HOST_STATUS, NoParams(), timeout=5)


async def test_every_refusal_is_counted_in_the_status(victim: Host) -> None:
    before = (await asyncio.to_thread(status_counts, victim)).get("plain-http", 0)
    for _ in range(5):
        await talk(victim, get("/"))
    await eventually(lambda: status_counts(victim)["plain-http"] == before + 5, "all of them are counted")
