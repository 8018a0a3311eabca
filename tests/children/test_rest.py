"""A child to which nothing comes for a while gives memory back, and is there when something comes."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from paglets.runtime.child import link as child_link
from paglets.runtime.child.link import ChildLink
from paglets.runtime.frames import CallResult, encode_frame
from tests.children.support import TestHost, send


def test_memory_is_given_back_once_in_each_rest_and_not_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[int] = []
    rested, read = threading.Event(), 0

    def note(_sleeper: int) -> int:
        rests.append(read)
        rested.set()
        return 0

    monkeypatch.setattr(child_link, "give_back", note)
    monkeypatch.setattr(child_link, "REST_SECONDS", 0.2)
    monkeypatch.setattr(child_link, "_APART", 1)
    host, child = socket.socketpair()

    def say_something() -> None:
        for _ in range(10):
            host.sendall(encode_frame(CallResult(1, b"1")))
            time.sleep(0.02)  # less than a rest
        assert rested.wait(10)
        time.sleep(0.5)  # more than two rests
        host.sendall(encode_frame(CallResult(2, b"1")))
        host.close()

    with child:
        link = ChildLink(child)
        saying = threading.Thread(target=say_something)
        saying.start()
        while frames := link.read():
            read += len(frames)
        saying.join()
    assert (read, rests) == (11, [10])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its memory")
async def test_a_child_at_rest_takes_less_memory(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    assert await send(child, "count") == 1
    before = _own_kib(child.pid)
    await asyncio.sleep(child_link.REST_SECONDS + 7)
    assert before - _own_kib(child.pid) > 800
    assert await send(child, "count") == 2


def _own_kib(pid: int) -> int:
    found = re.search(r"Private_Dirty: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found
    return int(found[1])
