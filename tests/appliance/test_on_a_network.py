"""Whole appliances on machines of their own, which share nothing but a switch and an authority."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.appliance.machines import NOTEBOOK

if TYPE_CHECKING:
    from tests.appliance.machines import Machines
    from tests.netns import Network

pytestmark = pytest.mark.slow


def security(machines: Machines, name: str, what: str) -> dict[str, Any] | None:
    """The host's first security event of that kind."""
    events = machines.ask(name, "events")
    return next(
        (each for each in events if each["kind"] == "security" and each["data"]["what"] == what), None
    )


def meet(machines: Machines, *names: str) -> None:
    for name in names:
        for other in names:
            if other != name:
                machines.until(lambda a=name, b=other: machines.knows(a, b), f"{name} knows {other}")


def test_two_hosts_find_each_other_and_again_after_the_link_was_down(
    machines: Machines, network: Network
) -> None:
    kitchen, barn = network.device(1), network.device(2)
    machines.boot("kitchen", on=kitchen)
    machines.boot("barn", on=barn)
    for name in ("kitchen", "barn"):
        machines.wait_ready(name)
    meet(machines, "kitchen", "barn")
    made = machines.ask("kitchen", "create", NOTEBOOK, "--init", '"packed"')["agent_id"]
    assert machines.ask("kitchen", "dispatch", made, "barn")["host_url"].startswith("https://10.99.0.2:")

    barn.link_down()
    machines.until(lambda: machines.knows("kitchen", "barn", online=False), "the barn is seen to be gone")
    refused = machines.on("kitchen", "dispatch", made, "kitchen")
    assert refused.code == 1
    barn.link_up()
    meet(machines, "kitchen", "barn")
    assert machines.ask("kitchen", "send", made, "read")["reply"] == ["packed"]
    assert machines.ask("kitchen", "retract", made)["host_url"].startswith("https://10.99.0.1:")


def test_a_host_that_starts_with_its_link_down_is_found_after_link_up(
    machines: Machines, network: Network
) -> None:
    settled, late = network.device(1), network.device(2, up=False)
    machines.boot("settled", on=settled)
    machines.boot("late", on=late)
    assert machines.wait_ready("late").startswith("https://127.0.0.1:")
    machines.wait_ready("settled")
    late.link_up()
    meet(machines, "settled", "late")
    address = machines.until(
        lambda: next((url for url in [machines.ask("late", "status")["address"]] if "10.99.0.2" in url), ""),
        "it knows its new address",
    )
    made = machines.ask("settled", "create", NOTEBOOK)["agent_id"]
    assert machines.ask("settled", "dispatch", made, "late")["host_url"] == address


def test_a_host_that_gets_another_address_is_moved_to_by_its_name(
    machines: Machines, network: Network
) -> None:
    kitchen, barn = network.device(1), network.device(2)
    machines.boot("kitchen", on=kitchen)
    machines.boot("barn", on=barn)
    meet_ready(machines)
    barn.remove_address("10.99.0.2/24")
    barn.add_address("10.99.0.77/24")
    machines.until(
        lambda: "10.99.0.77" in machines.ask("barn", "status")["address"], "the barn knows its new address"
    )
    machines.until(
        lambda: any(
            host["name"] == "barn" and host["online"] and "10.99.0.77" in host["url"]
            for host in machines.ask("kitchen", "hosts")
        ),
        "the kitchen knows it, too",
    )
    made = machines.ask("kitchen", "create", NOTEBOOK)["agent_id"]
    assert "10.99.0.77" in machines.ask("kitchen", "dispatch", made, "barn")["host_url"]
    assert machines.ask("kitchen", "retract", made)["agent_id"] == made


def meet_ready(machines: Machines) -> None:
    for name in ("kitchen", "barn"):
        machines.wait_ready(name)
    meet(machines, "kitchen", "barn")


@pytest.mark.parametrize("options", [(), ("--no-discovery",)])
def test_a_killed_host_is_found_again_at_another_port_with_its_paglets(
    machines: Machines, network: Network, options: tuple[str, ...]
) -> None:
    kitchen, barn = network.device(1), network.device(2)
    machines.boot("kitchen", *options, on=kitchen, port=8765)
    peer = ("--peer", "https://10.99.0.1:8765")
    machines.boot("barn", *options, *peer, on=barn, port=9001)
    meet_ready(machines)
    made = machines.ask("kitchen", "create", NOTEBOOK, "--init", '"safe"')["agent_id"]
    machines.ask("kitchen", "dispatch", made, "barn")
    assert machines.stop("barn", signal.SIGKILL) == -signal.SIGKILL
    machines.boot("barn", *options, *peer, on=barn, port=9002)
    machines.wait_ready("barn")
    machines.until(
        lambda: any(host["online"] and ":9002" in host["url"] for host in machines.ask("kitchen", "hosts")),
        "the kitchen knows the new port",
    )
    assert machines.ask("kitchen", "send", made, "read")["reply"] == ["safe"]
    assert machines.ask("kitchen", "retract", made)["host_url"] == "https://10.99.0.1:8765"


def test_two_hosts_of_one_name_are_told_apart_and_the_clash_is_visible(
    machines: Machines, network: Network
) -> None:
    for number in (1, 2):
        machines.boot(f"box{number}", "--name", "twin", on=network.device(number))
    machines.boot("other", on=network.device(3))
    for name in ("box1", "box2", "other"):
        machines.wait_ready(name)
    twins = machines.until(
        lambda: (found := [h for h in machines.ask("other", "hosts") if h["name"] == "twin"])[1:] and found,
        "both are known",
    )
    assert len({host["url"] for host in twins}) == 2
    made = machines.ask("other", "create", NOTEBOOK)["agent_id"]
    refused = machines.on("other", "dispatch", made, "twin")
    assert refused.code == 1
    assert "several hosts are called 'twin'" in refused.err
    clash = [event for event in machines.ask("other", "events") if event["kind"] == "peer-name-clash"]
    assert len(clash) == 1
    assert machines.ask("other", "dispatch", made, twins[0]["url"])["host_url"] == twins[0]["url"]


def test_strangers_and_foreign_hosts_on_the_network_are_named_and_harmless(
    machines: Machines, network: Network
) -> None:
    """Another mesh's host on the same switch, which is even told of this one, and a plain HTTP request."""
    home, scanner = network.device(1), network.device(2)
    machines.boot("home", on=home, port=8765)
    machines.wait_ready("home")
    foreign = machines.root / "foreign-mesh"
    machines.boot(
        "foreign", "--peer", "https://10.99.0.1:8765", "--mesh-dir", str(foreign), on=scanner, port=8765
    )
    machines.wait_ready("foreign")
    request = "import urllib.request as r; r.urlopen('http://10.99.0.1:8765/agents', timeout=5)"
    subprocess.run(
        scanner.command(sys.executable, "-c", request), capture_output=True, check=False, timeout=20
    )
    for name, what in (("home", "disconnected"), ("home", "plain-http"), ("foreign", "foreign-certificate")):
        event = machines.until(lambda a=name, b=what: security(machines, a, b), f"{name} names {what}")
        assert event["data"]["address"].startswith(("10.99.0.2:", "https://10.99.0.1:"))
        assert what in machines.log(name)
    assert [host["name"] for host in machines.ask("home", "hosts")] == ["home"]
    assert [host["name"] for host in machines.ask("foreign", "hosts")] == ["foreign"]
    made = machines.ask("home", "create", NOTEBOOK)["agent_id"]
    assert machines.ask("home", "send", made, "read")["reply"] == []


def test_an_idle_mesh_of_three_writes_nothing_and_hardly_runs(machines: Machines, network: Network) -> None:
    names = ("one", "two", "three")
    for number, name in enumerate(names, 1):
        machines.boot(name, on=network.device(number))
    for name in names:
        machines.wait_ready(name)
    meet(machines, *names)
    time.sleep(6)  # let what was started come to rest
    before = {name: (machines.written(name), machines.processor(name)) for name in names}
    time.sleep(10)
    for name in names:
        written, used = before[name]
        assert machines.written(name) == written, f"{name} wrote to disk"
        assert machines.processor(name) - used < 0.1, f"{name} used a percent of a core"
