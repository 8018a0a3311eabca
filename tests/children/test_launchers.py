"""Processes are made, found clean, and gone when they should be; the zygote is one of them."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
import socket
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from paglets.core.errors import HostError
from paglets.runtime.children.outcomes import ChildEnd
from paglets.runtime.launchers import entry
from paglets.runtime.launchers.keeper import ZygoteKeeper
from paglets.runtime.launchers.launcher import Launcher, LauncherDiedError, LaunchRequest
from paglets.runtime.launchers.orphans import end_orphans
from paglets.runtime.launchers.spawn_launcher import SpawnLauncher
from paglets.runtime.launchers.zygote import fork_zygote
from paglets.runtime.launchers.zygote_launcher import ZygoteLauncher
from tests.children.support import BOUND, TestHost, admit, is_running, open_descriptors, send, until
from tests.standstill import stop


async def test_a_child_sees_what_the_program_sees(host: TestHost, tmp_path: Path) -> None:
    path = [*sys.path, str(tmp_path / "more")]
    child = await host.launch(cwd=str(tmp_path), environ={"ONLY": "this", "LC_ALL": "C"}, sys_path=path)
    await admit(child, host.spec())
    seen = await send(child, "surroundings")
    assert seen["cwd"] == str(tmp_path)
    assert seen["environ"] == {"ONLY": "this", "LC_ALL": "C"}
    assert seen["path"] == path
    assert seen["session"] == seen["pid"] == child.pid, "Ctrl-C in a terminal is for the host"


async def test_a_working_directory_that_is_gone_is_no_obstacle(host: TestHost, tmp_path: Path) -> None:
    child = await host.launch(cwd=str(tmp_path / "gone"))
    await admit(child, host.spec())
    assert (await send(child, "surroundings"))["cwd"] == "/"


async def test_a_child_holds_no_descriptor_but_its_own(host: TestHost, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        first = await host.created(agent_id="first")
        second = await host.created(agent_id="second")
        for child in (first, second):
            found = await send(child, "descriptors")
            found = {number: path for number, path in found.items() if not path.startswith("/proc/")}
            assert found.pop("0") == os.devnull
            assert found.pop("1") == found.pop("2")
            assert len(found) == 1, found
            assert next(iter(found.values())).startswith("socket:")


async def test_big_surroundings_reach_the_child(zygote_host: TestHost) -> None:
    environ = {f"VARIABLE_{number}": "x" * 1000 for number in range(500)}
    child = await zygote_host.launch(environ=environ)
    await admit(child, zygote_host.spec())
    assert (await send(child, "surroundings"))["environ"] == environ


async def test_many_are_launched_at_once(host: TestHost) -> None:
    names = [f"agent-{number}" for number in range(12)]
    children = await asyncio.gather(*(host.created(agent_id=name) for name in names))
    assert len({child.pid for child in children}) == 12
    assert await asyncio.gather(*(send(child, "count") for child in children)) == [1] * 12


async def test_launches_leave_no_descriptor_behind(zygote_host: TestHost, keeper: ZygoteKeeper) -> None:
    for _ in range(2):
        await (await zygote_host.launch()).kill()
        zygote_host.outcomes.clear()
    await until(lambda: len(forked_by(keeper)) == 2)  # which are kept from now on
    before, before_zygote = open_descriptors(), open_descriptors(keeper.pid)
    for _ in range(200):
        child = await zygote_host.launch()
        await child.kill()
        zygote_host.outcomes.clear()
    assert open_descriptors() == before
    # It may just have been forking when it was looked at first, and so have had one more.
    await until(lambda: open_descriptors(keeper.pid) <= before_zygote)


def forked_by(keeper: ZygoteKeeper) -> list[int]:
    tasks = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children")
    return [pid for pid in map(int, tasks.read_text().split()) if is_running(pid)]


def waits(pid: int) -> bool:
    """Whether it has made itself ready: it holds its three streams and its orders, and sleeps on those."""
    return (
        open_descriptors(pid) == 4 and Path(f"/proc/{pid}/wchan").read_text() == "__skb_wait_for_more_packets"
    )


async def spare_of(keeper: ZygoteKeeper, but: tuple[int, ...] = ()) -> int:
    """The child that the zygote will take next; ``but``: those that are somebody's."""
    await until(lambda: any(pid not in but for pid in forked_by(keeper)))
    pid = next(pid for pid in forked_by(keeper) if pid not in but)  # they are listed as they were forked
    await until(lambda: waits(pid))
    return pid


async def test_a_second_child_is_ready_while_launches_follow_each_other(
    zygote_host: TestHost, keeper: ZygoteKeeper
) -> None:
    ours = [(await zygote_host.launch(f"agent-{number}")).pid for number in range(4)]
    await until(lambda: len(set(forked_by(keeper)) - set(ours)) == 2)
    for number in range(4, 8):
        await asyncio.sleep(0.2)
        ours.append((await zygote_host.launch(f"agent-{number}")).pid)
    await asyncio.sleep(0.2)
    assert len(set(forked_by(keeper)) - set(ours)) == 1, "one is enough for launches that come alone"


async def test_the_next_child_is_there_before_it_is_asked_for(
    zygote_host: TestHost, keeper: ZygoteKeeper, tmp_path: Path
) -> None:
    first = await zygote_host.created(agent_id="first")
    spare = await spare_of(keeper, (first.pid,))
    second = await zygote_host.launch("second", cwd=str(tmp_path))
    assert second.pid == spare
    await admit(second, zygote_host.spec(agent_id="second"))
    seen = await send(second, "surroundings")
    assert (seen["cwd"], seen["session"], seen["parent"]) == (str(tmp_path), spare, keeper.pid)
    assert await send(second, "count") == 1, "nothing is left of the rehearsal"
    assert await spare_of(keeper, (first.pid, second.pid)) != spare


class Rehearsals:
    """A zygote of which the spare children note each rehearsal. ``boot``: what it does first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, boot: str = "pass") -> None:
        self._file = folder / "rehearsals"
        counted = (
            "import os, time; from paglets.runtime.launchers import spare; rehearse = spare.rehearse; "
            f"note = lambda: open({str(self._file)!r}, 'a').write('x'); "
            f"spare.rehearse = lambda: (note(), rehearse()); {boot}; "
        )
        before, after = entry.BOOT.split("from", 1)
        monkeypatch.setattr(entry, "BOOT", f"{before}{counted}from{after}")
        self.keeper = ZygoteKeeper()
        self.launcher = ZygoteLauncher(self.keeper)
        self.host = TestHost(self.launcher, folder)

    @property
    def count(self) -> int:
        return len(self._file.read_text())

    async def created(self) -> None:
        """One more paglet, which works."""
        child = await self.host.created(agent_id=f"agent-{len(self.host.children)}")
        assert [await send(child, "count") for _ in range(2)] == [1, 2]

    def spares(self) -> list[int]:
        ours = {child.pid for child in self.host.children}
        return [pid for pid in forked_by(self.keeper) if pid not in ours]

    async def aclose(self) -> None:
        await self.host.aclose()
        await self.launcher.aclose()


def own_memory(pid: int) -> int:
    """Bytes that this process shares with nobody."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(
        int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("Private_Dirty:")
    )


async def test_only_the_first_spare_child_rehearses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = Rehearsals(monkeypatch, tmp_path)
    owned: list[int] = []
    for _ in range(4):
        await seen.created()
        spare = await spare_of(seen.keeper, tuple(child.pid for child in seen.host.children))
        owned.append(own_memory(spare))
    assert seen.count == 1
    assert min(owned) > max(owned) * 3 / 4, "the others own as much as the first one"
    await seen.aclose()


@pytest.mark.parametrize("boot", ["spare.SPARE_SECONDS = 0.3", "spare._CLOSE_SECONDS = 0"])
async def test_what_a_spare_child_has_told_is_known_also_when_nobody_takes_it(
    boot: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = Rehearsals(monkeypatch, tmp_path, boot)
    for _ in range(3):
        await seen.created()
        spare = await spare_of(seen.keeper, tuple(child.pid for child in seen.host.children))
        if "SPARE_SECONDS" not in boot:
            os.kill(spare, signal.SIGKILL)
        await until(lambda: not seen.spares())
    assert seen.count == 1
    await seen.aclose()


async def test_spare_children_rehearse_where_pages_cannot_be_copied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = Rehearsals(monkeypatch, tmp_path, "spare._CLOSE_SECONDS = 0; spare.copy_pages = lambda pages: 0")
    for number in range(1, 4):
        await seen.created()
        await spare_of(seen.keeper, tuple(child.pid for child in seen.host.children))
        assert seen.count == number
    await seen.aclose()


async def test_a_spare_child_may_be_taken_before_it_has_rehearsed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = tmp_path / "now"
    waiting = f"[time.sleep(0.005) for _ in iter(lambda: os.path.exists({str(now)!r}), True)]"
    seen = Rehearsals(
        monkeypatch,
        tmp_path,
        f"spare._CLOSE_SECONDS = 60; spare.rehearse = lambda: (note(), {waiting}, rehearse())",
    )
    await seen.host.created(agent_id="first")
    await until(lambda: len(seen.spares()) == 1)
    rehearsing = seen.spares()
    second = asyncio.ensure_future(seen.host.created(agent_id="second"))
    await until(lambda: len(set(seen.spares()) - set(rehearsing)) == 2)  # which all rehearse at the same time
    now.touch()
    assert (await second).pid in rehearsing
    assert await send(await second, "count") == 1
    for _ in range(4):
        await seen.created()
    assert seen.count == 3
    await seen.aclose()


async def test_a_spare_child_that_nobody_heard_ends_quietly() -> None:
    program = """
        import os
        import sys
        from paglets.runtime.launchers.spare import Spare

        spare = Spare.fork(os.getpid(), b"")
        print(spare.pid, flush=True)
        sys.stdin.read()
        spare.ended()
        print(os.waitpid(spare.pid, 0)[1])
        """
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert running.stdout is not None
    pid = int(await asyncio.wait_for(running.stdout.readline(), BOUND))
    await until(lambda: waits(pid))
    assert await asyncio.wait_for(running.communicate(b"go"), BOUND) == (b"0\n", b"")


async def test_a_spare_child_belongs_to_nobody_and_ends_with_its_zygote(tmp_path: Path) -> None:
    keeper = ZygoteKeeper()
    launcher = ZygoteLauncher(keeper)
    host = TestHost(launcher, tmp_path)
    for end in ("clean", "killed"):
        child = await host.created(agent_id=end)
        spare = await spare_of(keeper, (child.pid,))
        life = tmp_path / "life"
        assert end_orphans(life) == []
        if end == "killed":
            assert keeper.pid is not None
            os.kill(keeper.pid, signal.SIGKILL)
        else:
            await host.aclose()
            await launcher.aclose()
            launcher = ZygoteLauncher(keeper)
            host = TestHost(launcher, tmp_path)
        await until(lambda pid=spare: not is_running(pid))
    await host.aclose()
    await launcher.aclose()


async def test_a_spare_child_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, after = entry.BOOT.split("from", 1)
    hurried = "from paglets.runtime.launchers import spare; spare.SPARE_SECONDS = 1.0; "
    monkeypatch.setattr(entry, "BOOT", f"{before}{hurried}from{after}")
    keeper = ZygoteKeeper()
    launcher = ZygoteLauncher(keeper)
    host = TestHost(launcher, tmp_path)
    for name in ("first", "second"):  # and the next launch brings another
        child = await host.created(agent_id=name)
        others = tuple(each.pid for each in host.children)
        await until(lambda others=others: any(pid not in others for pid in forked_by(keeper)))
        await until(lambda others=others: set(forked_by(keeper)) == set(others))
        assert await send(child, "count") == 1
    await host.aclose()
    await launcher.aclose()


async def test_a_spare_child_that_was_killed_is_not_missed(
    zygote_host: TestHost, keeper: ZygoteKeeper
) -> None:
    first = await zygote_host.created(agent_id="first")
    spare = await spare_of(keeper, (first.pid,))
    os.kill(spare, signal.SIGKILL)
    await until(lambda: not is_running(spare))
    second = await zygote_host.created(agent_id="second")
    assert second.pid != spare
    assert await send(second, "echo", 1) == 1


async def test_a_spare_child_is_not_used_for_other_surroundings(
    zygote_host: TestHost, keeper: ZygoteKeeper
) -> None:
    first = await zygote_host.created(agent_id="first")
    spare = await spare_of(keeper, (first.pid,))
    second = await zygote_host.launch("second", environ={"ONLY": "this"})
    assert second.pid != spare
    await admit(second, zygote_host.spec(agent_id="second"))
    assert (await send(second, "surroundings"))["environ"] == {"ONLY": "this"}
    await until(lambda: not is_running(spare))


class DyingKeeper(ZygoteKeeper):
    """Its zygotes are dead whenever somebody is connected to them."""

    def __init__(self) -> None:
        super().__init__()
        self.attached = 0

    def attach(self) -> socket.socket:
        self.attached += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        ours.setblocking(False)
        return ours


async def test_a_zygote_that_dies_again_and_again_is_told_of_by_an_error_of_its_own() -> None:
    keeper = DyingKeeper()
    launcher = ZygoteLauncher(keeper)
    before = open_descriptors()
    with pytest.raises(LauncherDiedError, match="forked from has died"):
        await launcher.launch(LaunchRequest())
    await launcher.aclose()
    assert keeper.attached == 2, "it is replaced once"
    assert open_descriptors() == before


def nobody_holds(life_file: Path) -> bool:
    with life_file.open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


async def test_a_cancelled_launch_leaves_no_process(launcher: Launcher, tmp_path: Path) -> None:
    life_file = tmp_path / "life"
    before = open_descriptors()
    request = LaunchRequest(life_file=str(life_file))
    launching = [asyncio.ensure_future(launcher.launch(request)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in launching:
        task.cancel()
    await asyncio.wait(launching)
    await until(lambda: open_descriptors() <= before)
    process = await launcher.launch(request)  # those before it have come, and gone, by now
    process.socket.close()
    os.close(process.output)
    await asyncio.wait_for(process.exit, BOUND)
    await until(lambda: nobody_holds(life_file))


async def test_closing_a_launcher_ends_its_children_only(keeper: ZygoteKeeper, tmp_path: Path) -> None:
    hosts = [TestHost(ZygoteLauncher(keeper), tmp_path) for _ in range(2)]
    first, second = [await host.created() for host in hosts]
    await hosts[0].launcher.aclose()
    async with asyncio.timeout(BOUND):
        outcome = await first.wait_ended()
    assert outcome.end in {ChildEnd.CRASHED, ChildEnd.KILLED}
    assert await send(second, "echo", 1) == 1
    await hosts[1].aclose()
    await hosts[1].launcher.aclose()
    with pytest.raises(HostError, match="closed"):
        await hosts[0].launcher.launch(LaunchRequest())


async def test_a_zygote_that_dies_takes_its_children_and_is_replaced(tmp_path: Path) -> None:
    keeper = ZygoteKeeper()
    launcher = ZygoteLauncher(keeper)
    host = TestHost(launcher, tmp_path)
    children = [await host.created(agent_id=f"agent-{number}") for number in range(3)]
    waiting = asyncio.ensure_future(send(children[0], "sleep", seconds=30))
    await asyncio.sleep(0.02)
    zygote = keeper.pid
    assert zygote is not None
    os.kill(zygote, signal.SIGKILL)
    for child in children:
        async with asyncio.timeout(BOUND):
            assert (await child.wait_ended()).end is ChildEnd.LAUNCHER_LOST
    await until(
        lambda: not any(is_running(child.pid) for child in children)
    )  # a link goes a moment before it
    with pytest.raises(Exception, match="launcher"):
        await waiting
    successor = await host.created(agent_id="successor")
    assert await send(successor, "echo", 1) == 1
    assert keeper.pid != zygote
    await host.aclose()
    await launcher.aclose()
    assert keeper.pid is None


async def test_a_request_that_was_still_being_sent_when_the_zygote_died_is_repeated_quietly(
    tmp_path: Path,
) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    keeper = ZygoteKeeper()
    launcher = ZygoteLauncher(keeper)
    await launcher.start()
    zygote = keeper.pid
    assert zygote is not None
    stop(zygote)
    request = LaunchRequest(environ={"FILLS_THE_SOCKET": "x" * 4000})
    launching = [asyncio.create_task(launcher.launch(request)) for _ in range(100)]
    await asyncio.sleep(0)
    os.kill(zygote, signal.SIGKILL)
    async with asyncio.timeout(BOUND):
        launched = await asyncio.gather(*launching)
    assert len({each.pid for each in launched}) == 100
    for each in launched:
        each.socket.close()
        os.close(each.output)
    del launching
    gc.collect()
    await launcher.aclose()
    assert not complaints


async def test_hosts_share_a_zygote_until_the_last_is_done(tmp_path: Path) -> None:
    pids: list[int | None] = []
    keeper = ZygoteKeeper()  # other tests of this process may use the one of the program

    async def one_host() -> None:
        launcher = ZygoteLauncher(keeper)
        host = TestHost(launcher, tmp_path)
        child = await host.created()
        pids.append((await send(child, "surroundings"))["parent"])
        await host.aclose()
        await launcher.aclose()

    first = ZygoteLauncher(keeper)
    await first.start()
    # Another host has a loop and a thread of its own.
    thread = threading.Thread(target=lambda: asyncio.run(one_host()))
    thread.start()
    await asyncio.to_thread(thread.join, BOUND)
    await one_host()
    assert pids[0] == pids[1]
    assert is_running(pids[0] or 0)
    await first.aclose()
    assert not is_running(pids[0] or 0)


async def test_a_zygote_is_forked_from_a_quiet_program_only() -> None:
    with pytest.raises(HostError, match=r"before an event loop runs|before any other thread"):
        fork_zygote()


async def test_an_orphan_is_found_and_ended(host: TestHost, tmp_path: Path) -> None:
    life_file = tmp_path / "life"
    assert end_orphans(life_file) == []
    kept = await host.launch("kept", life_file=str(tmp_path / "another"))
    await admit(kept, host.spec(agent_id="kept"))
    child = await host.launch("orphan", life_file=str(life_file))
    await admit(child, host.spec(agent_id="orphan"))
    grandchild = await send(child, "grandchild")
    ended = await asyncio.to_thread(end_orphans, life_file)
    assert ended == [child.pid]
    async with asyncio.timeout(BOUND):
        assert (await child.wait_ended()).end is ChildEnd.CRASHED
    await until(lambda: not is_running(grandchild))
    assert await send(kept, "echo", 1) == 1


PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from paglets.runtime.launchers.zygote import fork_zygote
from paglets.runtime.launchers.zygote_launcher import launcher_of, shared_launcher
from paglets.runtime.launchers.spawn_launcher import SpawnLauncher

forked = fork_zygote() if {kind!r} == "forked" else None

async def main():
    from tests.children.support import TestHost, send
    launcher = launcher_of(forked) if forked else shared_launcher() if {kind!r} == "exec" else SpawnLauncher()
    host = TestHost(launcher, Path({directory!r}))
    children = [await host.created(agent_id=str(number)) for number in range(3)]
    spinning = asyncio.ensure_future(send(children[0], "spin"))
    await asyncio.sleep(0.05)
    print(*[child.pid for child in children], (await send(children[1], "surroundings"))["parent"], flush=True)
    if {clean}:
        await host.aclose()
        await launcher.aclose()
    else:
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["forked", "exec", "spawn"])
@pytest.mark.parametrize("clean", [False, True])
async def test_children_end_with_their_host(kind: str, clean: bool, tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    program = PROGRAM.format(root=root, kind=kind, directory=str(tmp_path), clean=clean)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=root
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        *pids, parent = map(int, line.split())
        assert len(pids) == 3
        if not clean:
            process.kill()
        assert (await asyncio.wait_for(process.wait(), BOUND) == 0) is clean
        await until(lambda: not any(map(is_running, pids)), 3.0)
        if kind != "spawn":
            await until(lambda: not is_running(parent), 3.0)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_spawn_launcher_that_was_never_used_closes() -> None:
    launcher = SpawnLauncher()
    await launcher.aclose()
    with pytest.raises(HostError):
        await launcher.launch(LaunchRequest())
