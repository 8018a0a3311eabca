"""What a child prints is kept, in lines, within bounds, and logged under its id."""

from __future__ import annotations

import logging
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.runtime.children.output import MAX_BYTES, MAX_LINE, OutputRing
from tests.children.support import TestHost, send


async def test_lines_of_both_streams_are_kept_and_logged(
    host: TestHost, caplog: pytest.LogCaptureFixture
) -> None:
    child = await host.created()
    with caplog.at_level(logging.INFO, "paglets.runtime.children.output"):
        await send(child, "print", text="one\ntwo\nthr")
        await send(child, "print", text="ee\n\n")
        await send(child, "warn")
        await host.until(lambda: "to stderr" in host.lines)
    assert host.lines == ["one", "two", "three", "", "to stderr"]
    assert [line.seq for line in child.logs()] == [1, 2, 3, 4, 5]
    assert [line.line for line in child.logs(since=1, limit=2)] == ["two", "three"]
    assert "agent: three" in [record.getMessage() for record in caplog.records]


async def test_the_last_words_are_not_lost(host: TestHost) -> None:
    child = await host.created()
    await send(child, "print", text="a last word without an end")
    await child.kill()
    assert host.lines[-1] == "a last word without an end"


async def test_a_crash_leaves_its_traceback(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    with pytest.raises(Exception, match="ended"):
        await send(child, "suicide", signal=signal.SIGSEGV)
    assert any("Segmentation fault" in line for line in zygote_host.lines)


async def test_a_flood_reaches_the_ring_and_not_the_log(
    zygote_host: TestHost, caplog: pytest.LogCaptureFixture
) -> None:
    child = await zygote_host.created()
    with caplog.at_level(logging.INFO, "paglets.runtime.children.output"):
        await send(child, "print", text="\n" * 60_000 + "done\n")
        await zygote_host.until(lambda: zygote_host.lines[-1:] == ["done"])
    assert len(zygote_host.lines) == 60_001
    assert 1000 <= len(caplog.records) < 5000


async def test_long_lines_and_floods_are_bounded(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    await send(child, "print", text="x" * (3 * MAX_LINE + 7) + "\n")
    await zygote_host.until(lambda: sum(map(len, zygote_host.lines)) == 3 * MAX_LINE + 7)
    assert max(map(len, zygote_host.lines)) == MAX_LINE
    for _ in range(5):
        await send(child, "print", text=("y" * 99 + "\n") * 1000)
    await send(child, "print", text="done\n")
    await zygote_host.until(lambda: zygote_host.lines[-1] == "done")
    kept = child.logs(limit=100_000)
    assert len(kept) == 1000
    assert kept[-1].line == "done"
    assert kept[-1].seq > 5000


@given(st.lists(st.text(max_size=50), max_size=60), st.integers(1, 10), st.integers(0, 200))
def test_a_ring_keeps_the_latest_within_its_bounds(lines: list[str], most: int, size: int) -> None:
    ring = OutputRing(most, size)
    for line in lines:
        ring.append(line)
    kept = [line.line for line in ring.since(0, 1000)]
    assert kept == lines[len(lines) - len(kept) :]
    assert len(kept) <= most
    assert sum(map(len, kept)) <= size
    assert MAX_BYTES > MAX_LINE
