"""Discovery between machines: separate network namespaces on a switch, real multicast."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests import netns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

pytestmark = pytest.mark.skipif(bool(netns.unavailable()), reason=netns.unavailable() or "available")

NODE = Path(__file__).parent / "node.py"
ROOT = NODE.parents[2]


class Node:
    """A running node, and what it said."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self.running = running
        self.said: list[dict[str, Any]] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.kill()
        self._reader.join(10)  # its pipe is closed behind this

    def _read(self) -> None:
        assert self.running.stdout is not None
        for line in self.running.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, condition: Callable[[dict[str, Any]], bool], limit: float = 10.0) -> dict[str, Any]:
        """Wait for something it says from now on."""
        deadline = time.monotonic() + limit
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not said within {limit} s; it said {self.said}") from None
            assert line is not None, f"it ended; it said {self.said}"
            said = json.loads(line)
            self.said.append(said)
            if condition(said):
                return said

    def until_hint(self, url: str, limit: float = 10.0) -> float:
        """Wait until it has found a host there; when that was (monotonic)."""
        for said in self.said:
            if said.get("hint") == url:
                return said["at"]
        return self.until(lambda said: said.get("hint") == url, limit)["at"]

    def stop(self) -> float:
        """Stop it as a host stops; how long that took."""
        assert self.running.stdin is not None
        self.running.stdin.close()
        took: float = self.until(lambda said: "stopped" in said)["stopped"]
        assert self.running.wait(10) == 0
        return took

    def hinted(self) -> set[str]:
        return {said["hint"] for said in self.said if "hint" in said}


def key(letter: str) -> str:
    return letter * 52


def command(host_id: str, port: int = 8765, mesh: str = "mesh-one") -> list[str]:
    python = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-X", "dev", "-W", "error"]
    return [*python, str(NODE), host_id, mesh, str(port)]


@contextlib.contextmanager
def node(device: netns.Device, host_id: str, port: int = 8765, *, mesh: str = "mesh-one") -> Generator[Node]:
    with netns.process(device, command(host_id, port, mesh)) as running, Node(running) as started:
        assert started.until(lambda said: "started" in said, 20)["started"] < 0.1
        started.until(lambda said: "announced" in said)
        yield started


def url(device: netns.Device, port: int = 8765) -> str:
    return f"https://{device.address}:{port}"


def test_two_machines_find_each_other_and_say_goodbye() -> None:
    with netns.network() as net:
        one, two = net.device(1), net.device(2)
        with node(one, key("a")) as first, node(two, key("b")) as second:
            begun = second.said[0]["at"]
            assert second.until_hint(url(one)) - begun < 1.0
            assert first.until_hint(url(two)) - begun < 1.0
            first.until(
                lambda said: said.get("known") == [url(two)]
            )  # told after the hint, and only when seen

            assert second.stop() < 2.0
            first.until(lambda said: said.get("known") == [])


def test_a_machine_whose_link_was_down_at_the_start_is_found_when_it_is_up() -> None:
    with netns.network() as net:
        one, two = net.device(1), net.device(2, up=False)
        with node(one, key("a")) as first, node(two, key("b")) as second:
            # By now all that is said only at a start is being said, to nobody.
            time.sleep(1.0)
            assert not first.hinted()
            assert not second.hinted()
            two.link_up()
            first.until_hint(url(two))
            second.until_hint(url(one))


def test_another_mesh_is_no_company() -> None:
    with netns.network() as net:
        one, two, three = net.device(1), net.device(2), net.device(3)
        with (
            node(one, key("a")) as first,
            node(two, key("b"), mesh="mesh-two") as stranger,
            node(three, key("c")) as third,
        ):
            first.until_hint(url(three))
            third.until_hint(url(one))
            assert first.hinted() == {url(three)}
            assert not stranger.hinted()


@pytest.mark.slow
def test_after_a_pulled_cable_machines_find_each_other_again_at_their_new_ports() -> None:
    with netns.network() as net:
        one, two = net.device(1), net.device(2)
        with node(one, key("a")) as first:
            with node(two, key("b"), 1111) as second:
                first.until_hint(url(two, 1111))
                second.until_hint(url(one))
                two.pull_cable()
                second.until(lambda said: "network" in said)
                second.running.kill()
            with node(two, key("b"), 2222) as second:
                time.sleep(1.0)
                assert url(two, 2222) not in first.hinted()
                two.plug_cable()
                first.until_hint(url(two, 2222))
                second.until_hint(url(one))


@pytest.mark.slow
def test_a_switch_that_comes_up_late_is_noticed_though_nobody_lost_its_carrier() -> None:
    with netns.network() as net:
        one, two = net.device(1), net.device(2)
        net.break_switch()
        with node(one, key("a")) as first, node(two, key("b")) as second:
            time.sleep(1.5)
            assert not first.hinted() | second.hinted()
            net.mend_switch()
            first.until_hint(url(two), 30)
            second.until_hint(url(one), 30)


def test_a_killed_machine_is_found_again_at_its_new_port() -> None:
    with netns.network() as net:
        one, two = net.device(1), net.device(2)
        with node(one, key("a")) as first:
            with node(two, key("b"), 1111) as second:
                first.until_hint(url(two, 1111))
                second.running.kill()
                second.running.wait()
            # mDNS does not notice, and nothing here pretends that it does.
            with node(two, key("b"), 2222):
                first.until_hint(url(two, 2222))


def test_a_name_that_is_taken_stops_nobody() -> None:
    """Two hosts whose ids begin alike: their instances get the same name."""
    ids = [key("a")[:-1] + last for last in "xyz"]
    with netns.network() as net:
        one, two, three = net.device(1), net.device(2), net.device(3)
        with node(one, ids[0]) as first, node(two, ids[1]) as second, node(three, ids[2]) as third:
            wanted = {url(one), url(two), url(three)}
            for running, own in ((first, one), (second, two), (third, three)):
                for other in wanted - {url(own)}:
                    running.until_hint(other, 30)


@pytest.mark.slow
def test_a_new_address_is_told_without_a_restart() -> None:
    with netns.network() as net:
        one, two = net.device(1), net.device(2)
        with node(one, key("a")) as first, node(two, key("b")) as second:
            first.until_hint(url(two))
            two.remove_address("10.99.0.2/24")
            two.add_address("10.99.0.77/24")
            first.until_hint("https://10.99.0.77:8765")
            second.until_hint(url(one))


def test_a_machine_with_no_network_at_all_starts_and_stops() -> None:
    with netns.network() as net:
        lonely = net.device(1, up=False)
        subprocess.run(lonely.command("ip", "link", "set", "lo", "down"), check=True, timeout=10)
        with netns.process(lonely, command(key("a"))) as running, Node(running) as started:
            started.until(lambda said: "started" in said, 20)
            time.sleep(0.5)
            assert started.stop() < 2.0
