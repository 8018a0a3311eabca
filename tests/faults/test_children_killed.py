"""The process of a paglet is killed while the paglet moves: the move goes on, or the paglet comes back."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import PagletCrashedError, PagletError, TransferError
from tests.faults.moving import begin, set_out, traveller
from tests.faults.site import alive, eventually, kill

if TYPE_CHECKING:
    from tests.faults.moving import Journey
    from tests.faults.site import Site


def pid_of(site: Site, agent_id: str) -> int:
    """The process of a paglet that is active on host a."""
    [pid] = [copy.pid for copy in site.copies(agent_id) if copy.host == "a"]
    assert pid is not None
    return pid


@pytest.mark.parametrize("kind", ["own", "dispatch", pytest.param("retract", marks=pytest.mark.slow)])
@pytest.mark.parametrize("point", ["header-sent", "trailer-due", "trailer-sent", "verdict-received"])
def test_the_move_goes_on_without_it(site: Site, kind: str, point: str) -> None:
    site["a"].hold(point)
    journey = set_out(site, kind)
    site["a"].reached(point)
    pid = pid_of(site, journey.agent_id)
    waiting = site.soon(lambda: site.tell("a", journey.agent_id, "add", by=0))
    kill(pid)
    eventually(lambda: not alive(pid))
    site["a"].let_go(point)
    copy = journey.finish("b")
    assert copy.epoch == journey.epoch + 1
    if kind == "own":
        assert isinstance(journey.call.exception(0), PagletCrashedError)
    else:
        assert journey.call.result(0)["host_url"] == site["b"].url
    waiting.result(10.0)
    site.only_their_processes()


@pytest.mark.parametrize("kind", ["own", "dispatch"])
def test_it_comes_back_when_the_move_is_taken_back(site: Site, kind: str) -> None:
    site["a"].hold("header-sent")
    journey = set_out(site, kind)
    site["a"].reached("header-sent")
    waiting = site.soon(lambda: site.tell("a", journey.agent_id, "add", by=0))
    pid = pid_of(site, journey.agent_id)
    kill(pid)
    eventually(lambda: not alive(pid))
    site["b"].kill()
    site["a"].wait_hung_up(site["b"])  # what is sent now cannot leave
    site["a"].let_go("header-sent")
    eventually(lambda: not site.transfers())
    site["b"].start()
    copy = journey.finish("a")
    assert copy.epoch > journey.epoch
    if kind == "dispatch":
        assert isinstance(journey.call.exception(0), TransferError)
    waiting.result(10.0)
    site.only_their_processes()


def taken_back(site: Site, point: str) -> tuple[Journey, int]:
    """A dispatch whose target is gone, held at that point where it is taken back, and the process of the paglet."""
    site["a"].hold("header-sent")
    journey = set_out(site, "dispatch")
    site["a"].reached("header-sent")
    pid = pid_of(site, journey.agent_id)
    site["b"].kill()
    site["a"].wait_hung_up(site["b"])  # what is sent now cannot leave
    site["a"].hold(point)
    site["a"].let_go("header-sent")
    site["a"].reached(point)
    return journey, pid


def test_killed_after_the_move_was_taken_back_for_a_process_that_lived(site: Site) -> None:
    """It dies between the write that says it goes on in its process and the moment when it is told."""
    journey, pid = taken_back(site, "after:active")
    waiting = site.soon(lambda: site.tell("a", journey.agent_id, "add", by=0))
    kill(pid)
    eventually(lambda: not alive(pid))
    site["a"].let_go("after:active")
    assert isinstance(journey.call.exception(10.0), TransferError)
    site["b"].start()
    assert journey.finish("a").epoch == journey.epoch + 1
    waiting.result(10.0)
    site.only_their_processes()


def test_it_is_started_again_though_the_first_attempt_finds_the_disk_full(site: Site) -> None:
    journey, pid = taken_back(site, "dispatch_failed")
    waiting = site.soon(lambda: site.tell("a", journey.agent_id, "add", by=0))
    site["a"].fail("before:active:activation", errno.ENOSPC)
    kill(pid)
    site["b"].start()
    assert journey.finish("a").epoch == journey.epoch + 1
    waiting.result(10.0)
    site.only_their_processes()


def test_killed_in_on_dispatch_failed(site: Site) -> None:
    journey, pid = taken_back(site, "dispatch_failed")
    kill(pid)
    site["b"].start()
    assert journey.finish("a").epoch == journey.epoch + 1
    site.only_their_processes()


@pytest.mark.parametrize("point", ["before:active:arrival", "after:active:arrival", "arrival"])
def test_the_new_process_is_killed(site: Site, point: str) -> None:
    before = site["b"].children()
    site["b"].hold(point)
    journey = set_out(site, "dispatch")
    site["b"].reached(point)
    [pid] = site["b"].children() - before
    kill(pid)
    eventually(lambda: not alive(pid))
    site["b"].let_go(point)
    journey.call.exception(30.0)
    eventually(lambda: not site.transfers())
    [copy] = eventually(lambda: site.copies(journey.agent_id))
    assert copy.host == "b"
    # Restarted by its policy, or failed until somebody says so; lost in no case.
    if copy.status != "active":
        site.proxy("b", journey.agent_id).activate()
    assert site.tell("a", journey.agent_id, "look")["log"][-1] == "arrival@b"
    site.only_their_processes()


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("a", "trailer-due"),
        pytest.param("b", "trailer-received", marks=pytest.mark.slow),
        pytest.param("b", "arrival", marks=pytest.mark.slow),
    ],
)
def test_the_zygote_is_killed(site: Site, name: str, point: str) -> None:
    site[name].hold(point)
    journey = set_out(site, "dispatch")
    site[name].reached(point)
    kill(site[name].zygote)
    eventually(lambda: not alive(site[name].zygote))
    site[name].let_go(point)
    journey.call.exception(30.0)
    eventually(lambda: not site.transfers())
    [copy] = eventually(lambda: site.copies(journey.agent_id))
    if copy.status != "active":
        site.proxy(copy.host, journey.agent_id).activate()
    copy = site.settled(journey.agent_id)
    assert site.tell("a", journey.agent_id, "add", by=0) >= 1000
    site[name].restart()  # its new zygote is not known here
    assert site.settled(journey.agent_id).host == copy.host


@pytest.mark.slow
def test_the_old_process_ends_within_its_grace(site: Site) -> None:
    """A handler that does not return after its own move does not keep the old life going."""
    agent_id = traveller(site)
    pid = pid_of(site, agent_id)
    site["a"].hold("gone")
    call = begin(site, "own", agent_id)
    site["a"].reached("gone")
    assert site.settled(agent_id).host == "b"
    assert site.tell("a", agent_id, "add", by=0) >= 1000
    eventually(lambda: not alive(pid), within=8.0)
    with pytest.raises(PagletError):
        call.result(10.0)
    site["a"].let_go("gone")
    site.only_their_processes()
