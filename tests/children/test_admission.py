"""What may run, runs; what may not is refused with a reason, and the process is gone."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, InvalidAgentError, PagletCrashedError, SerializationError
from paglets.runtime.child_specs import CodePolicy, Limits
from paglets.runtime.children.inspection import inspect_state
from paglets.runtime.children.outcomes import ChildEnd
from paglets.runtime.frames import Prepare, encode_frame
from paglets.runtime.launchers.launcher import ExitStatus, LaunchRequest
from paglets.runtime.memory_files import Payload
from tests.children.support import BOUND, SAMPLES, TestHost, admit, is_running, send

if TYPE_CHECKING:
    from pathlib import Path

# A pickle of protocol 2: an empty dictionary, put into the memo under a number that makes the memo huge.
MEMO_BOMB = b"\x80\x02}r\xff\xff\xff\x7f."
ALARMED = """
import signal
from tests.children.samples import Notes
def rang(number, frame): pass
signal.signal(signal.SIGALRM, rang)
class Alarmed(Notes):
    def handle_message(self, message):
        return signal.getsignal(signal.SIGALRM).__name__
"""
GREEDY = """
from tests.children.samples import Notes
KEPT = bytearray(120 * 1024 * 1024)
class Greedy(Notes):
    def __init__(self, state=None, *, agent_id=None):
        super().__init__(state, agent_id=agent_id)
        self.more = bytearray(120 * 1024 * 1024)
"""
# A string that claims to have four thousand million bytes.
LENGTH_BOMB = b"\x80\x04\x8d\x00\x00\x00\xff\x00\x00\x00\x00."


async def test_an_admitted_class_tells_what_it_is(host: TestHost) -> None:
    child = await host.launch()
    admitted = await admit(child, host.spec("Runner"))
    assert admitted.class_name == f"{SAMPLES}:Runner"
    assert admitted.state_class_name == f"{SAMPLES}:NotesState"
    assert admitted.restart["max_restarts"] == 5
    assert admitted.checkpoint["mode"] == "lifecycle"


@pytest.mark.parametrize(
    ("class_name", "reason"),
    [
        ("__main__:Thing", "main script"),
        ("no_such_module:Thing", "cannot be imported: ModuleNotFoundError"),
        (f"{SAMPLES}:Missing", "has no Missing"),
        (f"{SAMPLES}:NoPaglet", "no subclass of Paglet"),
        (f"{SAMPLES}:Stateless", "no dataclass as its State"),
        (f"{SAMPLES}:Careless", "does not pass agent_id on"),
        ("os:path", "no subclass of Paglet"),
        ("nothing:", "names no class"),
    ],
)
async def test_what_is_no_paglet_is_refused(zygote_host: TestHost, class_name: str, reason: str) -> None:
    child = await zygote_host.launch()
    with pytest.raises(InvalidAgentError, match=reason):
        await admit(child, zygote_host.spec(class_name))
    assert child.outcome is not None
    assert child.outcome.wanted
    assert not is_running(child.pid)


async def test_a_state_class_of_another_paglet_is_refused(zygote_host: TestHost) -> None:
    child = await zygote_host.launch()
    with pytest.raises(InvalidAgentError, match="no state of"):
        await admit(child, zygote_host.spec(state_class_name=f"{SAMPLES}:OtherState"))


async def test_code_runs_from_the_allowed_places_only(zygote_host: TestHost, tmp_path: Path) -> None:
    allowed, elsewhere = tmp_path / "allowed", tmp_path / "elsewhere"
    source = (
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from paglets.core.agent import Paglet\n"
        "Path(__file__).with_suffix('.ran').touch()\n"
        "@dataclass\nclass S:\n    n: int = 1\n"
        "class P(Paglet[S]):\n    State = S\n"
        "    def handle_message(self, message):\n        return self.state.n\n"
    )
    for place, name in ((allowed, "mod_allowed"), (elsewhere, "mod_elsewhere")):
        place.mkdir()
        (place / f"{name}.py").write_text(source)
    policy = CodePolicy(roots=(str(allowed),), search=(str(allowed), str(elsewhere)))
    child = await zygote_host.admitted("mod_allowed:P", code=policy, state_json=b'{"n": 5}')
    assert await send(child, "n") == 5
    refused = await zygote_host.launch("other")
    with pytest.raises(InvalidAgentError, match="on none of this host's code paths"):
        await admit(refused, zygote_host.spec("mod_elsewhere:P", "other", code=policy))
    assert not (elsewhere / "mod_elsewhere.ran").exists(), "it was not even imported"
    refused = await zygote_host.launch("third")
    with pytest.raises(InvalidAgentError, match="on none of this host's code paths"):
        await admit(refused, zygote_host.spec(f"{SAMPLES}:Notes", "third", code=policy))


async def test_a_state_given_as_json_is_checked(zygote_host: TestHost) -> None:
    child = await zygote_host.admitted(state_json=b'{"count": 41, "unknown": 1}')
    assert await send(child, "count") == 42
    child = await zygote_host.launch("second")
    with pytest.raises(SerializationError, match="count"):
        await admit(child, zygote_host.spec(agent_id="second", state_json=b'{"count": "many"}'))


@pytest.mark.parametrize("bomb", [MEMO_BOMB, LENGTH_BOMB, b"", b"garbage", b"\x80\x04cos\nsystem\n."])
async def test_a_bad_state_costs_no_more_than_its_child(zygote_host: TestHost, bomb: bytes) -> None:
    child = await zygote_host.launch()
    with pytest.raises(SerializationError):
        await admit(child, zygote_host.spec(), Payload.of(bomb))
    assert not is_running(child.pid)
    with pytest.raises(SerializationError):
        await inspect_state(zygote_host.launcher, LaunchRequest(), Payload.of(bomb))


async def test_a_module_that_takes_for_ever_is_ended(zygote_host: TestHost) -> None:
    child = await zygote_host.launch()
    with pytest.raises(PagletCrashedError, match="took too long"):
        await admit(child, zygote_host.spec("Slow", limits=Limits(decode_seconds=0.2)))


async def test_a_cancelled_admission_leaves_no_process(zygote_host: TestHost) -> None:
    child = await zygote_host.launch()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await admit(child, zygote_host.spec("Slow"))
    assert not is_running(child.pid)


async def test_memory_stays_bounded_after_admission(zygote_host: TestHost) -> None:
    child = await zygote_host.created(limits=Limits(memory_bytes=200 * 1024 * 1024))
    assert await send(child, "eat", bytes=50 * 1024 * 1024) == 50 * 1024 * 1024
    with pytest.raises(HostError, match="MemoryError"):
        await send(child, "eat", bytes=400 * 1024 * 1024)
    assert await send(child, "echo", 1) == 1


async def test_processor_time_is_bounded(zygote_host: TestHost) -> None:
    child = await zygote_host.created(limits=Limits(cpu_seconds=1))
    with pytest.raises(PagletCrashedError, match="used up its processor time"):
        await send(child, "spin")
    assert child.outcome is not None
    assert child.outcome.end is ChildEnd.CRASHED


async def test_a_stored_state_is_shown_without_its_class(zygote_host: TestHost) -> None:
    state = {"count": 3, "data": b"\x00\xff", "nan": float("nan")}
    async with asyncio.timeout(BOUND):
        text = await inspect_state(
            zygote_host.launcher, LaunchRequest(), Payload.of(pickle.dumps(state, protocol=5))
        )
    assert json.loads(text) == {
        "count": 3,
        "data": {"__paglets_binary__": "bytes", "base64": "AP8="},
        "nan": "NaN",
    }


async def test_what_is_wrong_with_a_class_is_told_when_its_state_has_come(zygote_host: TestHost) -> None:
    child = await zygote_host.launch()
    child.prepare(zygote_host.spec(f"{SAMPLES}:Missing"), 0)
    assert child.outcome is None
    async with asyncio.timeout(BOUND):
        with pytest.raises(InvalidAgentError, match="has no Missing"):
            await child.admit()
    assert child.outcome is not None


async def test_one_whose_state_does_not_come_ends_with_its_link(host: TestHost) -> None:
    process = await host.launcher.launch(LaunchRequest(), encode_frame(Prepare(host.spec(), 100)))
    os.close(process.output)
    process.socket.close()
    async with asyncio.timeout(BOUND):
        assert await process.exit == ExitStatus(code=0)


async def test_a_module_keeps_its_handler_of_alarms(zygote_host: TestHost, tmp_path: Path) -> None:
    (tmp_path / "mod_alarmed.py").write_text(ALARMED)
    policy = CodePolicy(search=(str(tmp_path),))
    child = await zygote_host.admitted("mod_alarmed:Alarmed", code=policy)
    assert await send(child, "handler") == "rang"


async def test_what_the_import_took_counts_with_what_follows(zygote_host: TestHost, tmp_path: Path) -> None:
    (tmp_path / "mod_greedy.py").write_text(GREEDY)
    policy = CodePolicy(search=(str(tmp_path),))
    bounds = Limits(memory_bytes=200 * 1024 * 1024, decode_bytes=200 * 1024 * 1024)
    child = await zygote_host.launch()
    async with asyncio.timeout(BOUND):
        with pytest.raises(SerializationError, match="more memory than it may have"):
            await admit(child, zygote_host.spec("mod_greedy:Greedy", code=policy, limits=bounds))


@pytest.mark.parametrize("size", [10, 200_000])
async def test_what_it_is_for_can_be_told_with_its_launch(host: TestHost, size: int) -> None:
    """However long that is: what does not fit into a socket that nobody reads yet follows."""
    state = json.dumps({"notes": ["x" * size]}).encode()
    child = await host.launch(prepares=Prepare(host.spec(state_json=state), 0))
    async with asyncio.timeout(BOUND):
        await child.admit()
    assert (await send(child, "notes"))[0] == "x" * size
