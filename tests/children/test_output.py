"""What a child prints is told in bounded lines, and logged under its id."""

from __future__ import annotations

import logging
import signal

import pytest

from paglets.runtime.children.output import MAX_LINE
from tests.children.support import TestHost, send


async def test_lines_of_both_streams_are_told_and_logged(
    host: TestHost, caplog: pytest.LogCaptureFixture
) -> None:
    child = await host.created()
    with caplog.at_level(logging.INFO, "paglets.runtime.children.output"):
        await send(child, "print", text="one\ntwo\nthr")
        await send(child, "print", text="ee\n\n")
        await send(child, "warn")
        await host.until(lambda: "to stderr" in host.lines)
    assert host.lines == ["one", "two", "three", "", "to stderr"]
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


async def test_a_flood_reaches_the_owner_and_not_the_log(
    zygote_host: TestHost, caplog: pytest.LogCaptureFixture
) -> None:
    child = await zygote_host.created()
    with caplog.at_level(logging.INFO, "paglets.runtime.children.output"):
        await send(child, "print", text="\n" * 60_000 + "done\n")
        await zygote_host.until(lambda: zygote_host.lines[-1:] == ["done"])
    assert len(zygote_host.lines) == 60_001
    assert 1000 <= len(caplog.records) < 5000


async def test_long_lines_are_cut(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    await send(child, "print", text="x" * (3 * MAX_LINE + 7) + "\n")
    await zygote_host.until(lambda: sum(map(len, zygote_host.lines)) == 3 * MAX_LINE + 7)
    assert max(map(len, zygote_host.lines)) == MAX_LINE
