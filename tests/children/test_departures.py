"""Hooks, resources and state in their order, on the thread that asked; and back when it did not happen."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import HostError, LifecycleError, ResourceCleanupError, TransferError
from paglets.persistence.records import HookKind
from paglets.remote.moved import MovedReply
from paglets.runtime.child_specs import Call, CallThread, Departure, DepartureKind, Snapshot
from paglets.runtime.children.inspection import inspect_state
from paglets.runtime.children.outcomes import ChildEnd
from paglets.runtime.launchers.launcher import LaunchRequest
from tests.children.support import BOUND, TestHost, send

if TYPE_CHECKING:
    from paglets.runtime.children.child import Child

PLACE = b'{"host_url": "https://there:8765", "agent_id": "agent"}'


async def state_of(host: TestHost, snapshot: Snapshot) -> dict[str, Any]:
    assert snapshot.state is not None
    with snapshot.state as state:
        return json.loads(await inspect_state(host.launcher, LaunchRequest(), state))


class Mover:
    """A host that moves what asks for it: takes the snapshot, and says where it went."""

    def __init__(self, host: TestHost, outcome: str = "moved") -> None:
        self.host = host
        self.outcome = outcome
        self.snapshots: list[Snapshot] = []
        self.departed = asyncio.Event()
        host.on_method["paglets.dispatch"] = self.dispatch
        host.on_method["paglets.clone"] = self.clone
        host.on_method["paglets.checkpoint"] = self.checkpoint

    async def dispatch(self, child: Child, call: Call) -> bytes:
        to = json.loads(call.params)["ticket"]["destination"]
        departure = Departure(
            kind=DepartureKind.DISPATCH, event={"target_host_name": to}, call_id=call.id, handler_wait=0.5
        )
        self.snapshots.append(await child.begin_departure(departure))
        self.departed.set()
        if self.outcome == "failed":
            await child.resume({"target_host_name": to})
            raise TransferError(f"{to} does not answer")
        return PLACE

    async def clone(self, child: Child, call: Call) -> bytes:
        self.snapshots.append(
            await child.begin_departure(Departure(kind=DepartureKind.CLONE, call_id=call.id))
        )
        await child.cloned({"clone_agent_id": "twin"})
        return b'{"host_url": "https://here:8765", "agent_id": "twin"}'

    async def checkpoint(self, child: Child, call: Call) -> bytes:
        self.snapshots.append(
            await child.begin_departure(Departure(kind=DepartureKind.CHECKPOINT, call_id=call.id))
        )
        return b"{}"


async def test_a_handler_moves_its_paglet_and_still_replies(host: TestHost) -> None:
    mover = Mover(host)
    child = await host.created()
    await send(child, "open", name="first")
    await send(child, "open", name="second")
    assert await send(child, "go", to="there", then="send") == {
        "host_url": "https://there:8765",
        "after": "LifecycleError",
    }
    assert host.calls[-1].thread is CallThread.HANDLER
    assert host.calls[-1].method == "paglets.dispatch", "the send after it did not reach the host"
    state = await state_of(host, mover.snapshots[0])
    assert state["notes"] == [
        "creation None at here",
        "dispatching to there",
        "closed second",
        "closed first",
    ]
    outcome = await child.finish(5.0)
    assert outcome.end is ChildEnd.FINISHED


async def test_the_reply_of_a_moved_handler_is_delivered_while_it_finishes(zygote_host: TestHost) -> None:
    mover = Mover(zygote_host)
    child = await zygote_host.created()
    reply = asyncio.ensure_future(send(child, "go", to="there", then="work_dir"))
    await asyncio.wait_for(mover.departed.wait(), BOUND)
    outcome = await child.finish(5.0)
    assert (await reply)["after"] == "LifecycleError"
    assert outcome.end is ChildEnd.FINISHED


async def test_a_move_that_fails_leaves_the_paglet_as_it_was(zygote_host: TestHost) -> None:
    Mover(zygote_host, "failed")
    child = await zygote_host.created()
    reply = await send(child, "go", to="nowhere")
    assert reply["error"] == "TransferError"
    assert reply["notes"][-2:] == ["dispatching to nowhere", "failed to reach nowhere on MainThread"]
    assert await send(child, "fanout") == ["hello one {'n': 1}", "hello two {'n': 1}"]


async def test_a_leaving_hook_that_raises_cancels_the_move(zygote_host: TestHost) -> None:
    mover = Mover(zygote_host)
    child = await zygote_host.created()
    reply = await send(child, "go", to="forbidden")
    assert (reply["error"], reply["text"]) == ("HostError", "RuntimeError: not there")
    assert not mover.snapshots
    assert (await send(child, "go", to="there"))["host_url"] == "https://there:8765"


async def test_a_resource_that_cannot_be_cleaned_up_cancels_the_move(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    await send(child, "open", name="good")
    await send(child, "open", name="stuck", fail=True)
    with pytest.raises(ResourceCleanupError) as caught:
        await child.begin_departure(
            Departure(kind=DepartureKind.DISPATCH, event={"target_host_name": "there"})
        )
    assert list(caught.value.failures) == ["stuck"]
    assert (await send(child, "notes"))[-3:] == [
        "closed stuck",
        "closed good",
        "failed to reach there on MainThread",
    ]


async def test_asked_from_outside_it_waits_for_the_handler(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    busy = asyncio.ensure_future(send(child, "sleep", seconds=0.2))
    await asyncio.sleep(0)
    snapshot = await child.begin_departure(Departure(kind=DepartureKind.RETRACT))
    assert busy.done()
    assert (await state_of(zygote_host, snapshot))["notes"][-1] == "reverting retract"
    with pytest.raises(LifecycleError, match="has left this process"):
        await send(child, "echo", 1)
    with pytest.raises(LifecycleError, match="leaving already"):
        await child.begin_departure(Departure(kind=DepartureKind.DISPATCH))
    await child.resume()
    assert await send(child, "echo", 1) == 1


async def test_a_departure_that_is_given_up_is_undone(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await child.begin_departure(
                Departure(kind=DepartureKind.DISPATCH, event={"target_host_name": "slowly"})
            )
    assert (await send(child, "notes"))[-2:] == [
        "dispatching to slowly",
        "failed to reach slowly on MainThread",
    ]
    assert (await send(child, "property", "blue")) == "blue", "its context is open again"


async def test_a_clone_leaves_the_original_at_work(zygote_host: TestHost) -> None:
    mover = Mover(zygote_host)
    child = await zygote_host.created()
    await send(child, "open", name="kept")
    assert await send(child, "clone_me") == "twin"
    assert (await state_of(zygote_host, mover.snapshots[0]))["notes"][-1] == "cloning"
    assert (await send(child, "notes"))[-1] == "cloned as twin on MainThread"


async def test_a_checkpoint_runs_no_hook(zygote_host: TestHost) -> None:
    mover = Mover(zygote_host)
    child = await zygote_host.created()
    await send(child, "checkpoint")
    assert (await state_of(zygote_host, mover.snapshots[0]))["notes"] == ["creation None at here"]
    snapshot = await child.begin_departure(Departure(kind=DepartureKind.CHECKPOINT))
    assert snapshot.state is not None
    assert await send(child, "echo", 1) == 1


async def test_a_thread_that_saves_keeps_its_paglet_from_leaving_no_more(zygote_host: TestHost) -> None:
    mover = Mover(zygote_host)
    child = await zygote_host.created()
    await send(child, "checkpoint_beside", seconds=1.0)
    await asyncio.sleep(0.3)  # it waits for the lock by now; later, there would be nothing to see
    snapshot = await child.begin_departure(Departure(kind=DepartureKind.DISPATCH))
    assert snapshot.state is not None
    assert mover.snapshots[0].state is not None


async def test_deactivation_asks_the_paglet_for_its_policy(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    request = {"reason": "night", "source": "external", "policy": None, "metadata": {"by": "clock"}}
    snapshot = await child.begin_departure(
        Departure(kind=DepartureKind.DEACTIVATE, event={"reason": "night", "request": request})
    )
    assert snapshot.policy["activate_on_message"] is False
    assert (await state_of(zygote_host, snapshot))["notes"][-1] == "deactivating night {'by': 'clock'}"


async def test_disposal_takes_no_state(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    snapshot = await child.begin_departure(Departure(kind=DepartureKind.DISPOSE))
    assert snapshot.state is None
    assert (await child.finish()).end is ChildEnd.FINISHED
    assert zygote_host.lines[-1] == "disposed"


async def test_run_moves_its_paglet_on_its_own_thread(host: TestHost) -> None:
    mover = Mover(host, "failed")
    child = await host.admitted("Runner", state_json=b'{"notes": ["go there"]}')
    await child.run_hook(HookKind.ARRIVAL, {})
    child.start_run()
    assert await asyncio.wait_for(host.run_ends.get(), BOUND) is None
    notes = await send(child, "notes")
    assert "failed to reach there on paglets-run" in notes
    assert "on paglets-run" in notes[-1]
    assert host.calls[0].thread is CallThread.RUN
    assert len(mover.snapshots) == 1


async def test_run_waits_for_a_handler_in_progress_but_not_for_ever(zygote_host: TestHost) -> None:
    Mover(zygote_host)
    child = await zygote_host.admitted("Runner", state_json=b'{"notes": ["go there"]}')
    busy = asyncio.ensure_future(send(child, "sleep", seconds=1.0))
    await asyncio.sleep(0.05)
    child.start_run()
    await asyncio.wait_for(zygote_host.run_ends.get(), BOUND)
    assert not busy.done()
    await busy
    assert "a handler did not return within 0.5 s" in (await send(child, "notes"))[-1]


async def test_run_cannot_move_inside_the_lock(zygote_host: TestHost) -> None:
    Mover(zygote_host)
    child = await zygote_host.admitted("Runner", state_json=b'{"notes": ["go-locked there"]}')
    child.start_run()
    await asyncio.wait_for(zygote_host.run_ends.get(), BOUND)
    assert "cannot move inside locked()" in (await send(child, "notes"))[-1]


async def test_a_paglet_without_run_gets_no_thread_for_it(zygote_host: TestHost) -> None:
    child = await zygote_host.admitted()
    child.start_run()
    await send(child, "echo")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(zygote_host.run_ends.get(), 0.2)
    late = await zygote_host.created("LateRunner", "late")
    late.start_run()
    await asyncio.wait_for(zygote_host.run_ends.get(), BOUND)
    assert (await send(late, "notes"))[-1] == "ran", (
        "what the object has by then counts, not what its class says"
    )


async def test_a_run_that_raises_is_told_and_the_paglet_stays(zygote_host: TestHost) -> None:
    child = await zygote_host.admitted("Runner", state_json=b'{"notes": ["raise it went wrong"]}')
    child.start_run()
    error = await asyncio.wait_for(zygote_host.run_ends.get(), BOUND)
    assert isinstance(error, HostError)
    assert str(error) == "ValueError: it went wrong"
    assert await send(child, "echo", 1) == 1


async def test_what_outlives_its_grace_is_killed(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    busy = asyncio.ensure_future(send(child, "sleep", seconds=30))
    await asyncio.sleep(0.05)
    outcome = await child.finish(0.1)
    assert outcome.end is ChildEnd.KILLED
    with pytest.raises(Exception, match="killed"):
        await busy


async def test_a_big_state_goes_both_ways_in_memory_files(host: TestHost) -> None:
    child = await host.created()
    size = 64 * 1024 * 1024
    assert await send(child, "fill", size=size) == size
    snapshot = await child.begin_departure(Departure(kind=DepartureKind.DISPATCH))
    assert snapshot.state is not None
    assert snapshot.state.data is None
    with snapshot.state as state:
        assert size < state.size < size + 1024
        await child.finish()
        successor = await host.admitted(agent_id="successor", state=state)
        twin = await host.admitted(agent_id="twin", state=state)
    assert await send(successor, "size") == size
    assert await send(twin, "size") == size


async def test_a_proxy_learns_where_its_paglet_is(zygote_host: TestHost) -> None:
    async def elsewhere(_child: Child, _call: Call) -> bytes:
        return MovedReply.at(b'"found it"', "https://third:8765")

    zygote_host.on_method["message.send"] = elsewhere
    child = await zygote_host.created()
    assert await send(child, "follow") == ["found it", "https://third:8765"]
    assert zygote_host.calls[-1].host_url == "https://second:8765"


async def test_the_context_reaches_its_host(zygote_host: TestHost) -> None:
    child = await zygote_host.created()
    assert await send(child, "property", {"is": "blue"}) == {"is": "blue"}
    work = await send(child, "files")
    assert (zygote_host.directory / "storage" / "b.txt").read_text() == "kept"
    assert work == str(zygote_host.directory / "work" / "agent")
    child.set_place("renamed", "https://new:1")
    assert await send(child, "place") == ["renamed", "https://new:1"]
