"""What the parts cost alone, on this machine, now: the limits that the figures are held against."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import os
import pickle
import shutil
import socket
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import lmdb
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.samples import timed

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.bench.samples import Samples

CHUNK = 256 * 1024
MEGA = 1e6
WARM_UP = 100

# A process like the one that children are forked from; it forks as often as it is told, and prints milliseconds.
_FORKS = """
import gc, os, sys, time
import paglets.runtime.launchers.zygote_process
gc.collect(); gc.freeze()
for _ in range(int(sys.argv[1])):
    ours, theirs = os.pipe()
    begun = time.perf_counter()
    pid = os.fork()
    if not pid:
        os.write(theirs, b"x")
        os._exit(0)
    os.read(ours, 1)
    print((time.perf_counter() - begun) * 1e3)
    os.waitpid(pid, 0); os.close(ours); os.close(theirs)
"""


def fork(samples: Samples, times: int) -> None:
    """A fork until the new process replies."""
    told = subprocess.run(
        [sys.executable, "-c", _FORKS, str(times)], check=True, capture_output=True, text=True
    )
    samples.add("limit_fork_ms", map(float, told.stdout.split()))


@contextlib.contextmanager
def unix_echo() -> Generator[socket.socket]:
    """A socket to a process that sends back what it reads."""
    ours, theirs = socket.socketpair()
    with ours:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.echo", "unix", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        try:
            yield ours
        finally:
            ours.close()
            process.wait(10)


def unix_hop(samples: Samples, times: int) -> None:
    """A hundred bytes there and back; asyncio at this end, as in a host, blocking at the other, as in a child."""

    async def measure(connection: socket.socket) -> list[float]:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        taken: list[float] = []
        for _ in range(times + WARM_UP):
            begun = time.perf_counter()
            await loop.sock_sendall(connection, bytes(100))
            await loop.sock_recv(connection, 4096)
            taken.append((time.perf_counter() - begun) * 1e6)
        return taken[WARM_UP:]

    with unix_echo() as connection:
        samples.add("limit_unix_hop_us", asyncio.run(measure(connection)))


@contextlib.contextmanager
def websocket_echo(folder: Path) -> Generator[tuple[int, ssl.SSLContext]]:
    """The port of a WebSocket server in another process, TLS 1.3 only, and what its clients trust."""
    certificate = folder / "echo.pem"
    certificate.write_bytes(_certificate())
    context = ssl.create_default_context(cafile=str(certificate))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.echo", "websocket", str(certificate)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise AssertionError("the server was started with a pipe")
        yield int(process.stdout.readline()), context
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def tls(samples: Samples, folder: Path, *, echoes: int, megabytes: int) -> None:
    """Short frames there and back, then long ones in one direction."""

    async def measure(port: int, context: ssl.SSLContext) -> None:
        url = f"wss://127.0.0.1:{port}"
        async with connect(url, ssl=context, compression=None, max_size=None) as connection:
            if echoes:
                taken = [await _echo(connection) * 1e6 for _ in range(echoes + WARM_UP)]
                samples.add("limit_tls_echo_us", taken[WARM_UP:])
            if megabytes:
                samples.add("limit_tls_mb_s", [await _pour(connection, megabytes) for _ in range(3)])

    with websocket_echo(folder) as (port, context):
        asyncio.run(measure(port, context))


async def _echo(connection: ClientConnection) -> float:
    begun = time.perf_counter()
    await connection.send(bytes(100))
    await connection.recv()
    return time.perf_counter() - begun


async def _pour(connection: ClientConnection, megabytes: int) -> float:
    """MB/s, until the other end has taken the last of them."""
    chunk = os.urandom(CHUNK)
    begun = time.perf_counter()
    for _ in range(int(megabytes * MEGA) // CHUNK):
        await connection.send(chunk)
    await _echo(connection)
    return megabytes / (time.perf_counter() - begun)


def commit(samples: Samples, folder: Path, times: int) -> None:
    """A durable commit of one small value."""
    with contextlib.closing(_database(folder / "commits")) as database:
        count = 0

        def write() -> None:
            nonlocal count
            count += 1
            with database.begin(write=True) as transaction:
                transaction.put(b"%08d" % (count % 1000), os.urandom(1024))

        samples.add("limit_commit_ms", timed(times, write, scale=1e3))


def bulk_writes(samples: Samples, folder: Path, megabytes: int) -> None:
    """Chunks into a database, four to a durable transaction; the database goes with the end of it."""
    chunk = os.urandom(CHUNK)
    place = folder / "bulk"
    with contextlib.closing(_database(place)) as database:
        begun = time.perf_counter()
        count = int(megabytes * MEGA) // CHUNK
        for first in range(0, count, 4):
            with database.begin(write=True) as transaction:
                for each in range(first, min(first + 4, count)):
                    transaction.put(b"%08d" % each, chunk, append=True)
        samples.add("limit_lmdb_write_mb_s", [megabytes / (time.perf_counter() - begun)])
    shutil.rmtree(place)


def pickled(samples: Samples, times: int) -> None:
    """What a state of 64 MB costs to pickle and to load."""
    state = {"ballast": os.urandom(int(64 * MEGA))}
    samples.add(
        "limit_pickle_64m_ms",
        timed(times, lambda: pickle.loads(pickle.dumps(state, protocol=5)), scale=1e3),
    )


def _database(folder: Path) -> lmdb.Environment:
    folder.mkdir()
    return lmdb.open(str(folder), map_size=2 * 1024**3)


def _certificate() -> bytes:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "echo")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, None)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)
