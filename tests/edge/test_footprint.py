"""What an appliance does to stay small."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge.footprint import TLS_BUFFER

_FORK = """
import gc, os, re, sys
from contextlib import nullcontext
from edge.footprint import shared_with_forks
held = [[] for _ in range(200_000)]  # some 14 MiB
with shared_with_forks() if sys.argv[1] == "shared" else nullcontext():
    if not os.fork():
        gc.collect()
        with open("/proc/self/smaps_rollup") as file:
            print(re.search(r"Private_Dirty: +(\\d+) kB", file.read())[1], flush=True)
        os._exit(0)
    os.wait()
"""

_CONNECT = """
import asyncio, ssl
from asyncio import sslproto
from edge.footprint import keep_connections_small
keep_connections_small()
loop = asyncio.new_event_loop()
protocol = sslproto.SSLProtocol(loop, asyncio.Protocol(), ssl.create_default_context(), None)
print(len(protocol.get_buffer(-1)))
loop.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is shared")
def test_a_collection_in_a_fork_leaves_what_was_loaded_before_shared() -> None:
    own = {each: int(_told(_FORK, each)) for each in ("shared", "not")}
    assert own["not"] > 10_000, "what the collection looks at is copied"
    assert own["shared"] < own["not"] / 3


def test_a_connection_keeps_a_small_buffer() -> None:
    assert int(_told(_CONNECT)) == TLS_BUFFER


def _told(code: str, *arguments: str) -> str:
    command = [sys.executable, "-X", "dev", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
