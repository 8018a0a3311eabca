"""A target that is lost: its paglet is adopted at the source and goes on. When the target is back, the copies meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import HostError
from paglets.remote import adoption_api, api
from paglets.remote.client import HostClient
from tests.faults.moving import set_out
from tests.faults.site import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.moving import Journey
    from tests.faults.site import Site

SHORT = 0.5


def lost(site: Site, kind: str = "dispatch", point: str = "verdict-due") -> Journey:
    """A move whose target is killed before it could say anything: after it has decided, or before."""
    site["b"].hold(point)
    site["b"].hold_all("question-received")
    journey = set_out(site, kind, timeout=SHORT)
    site["b"].reached(point)
    eventually(lambda: _status(site, "a", journey.agent_id) == "in-doubt")
    site["b"].kill()
    return journey


def _status(site: Site, host: str, agent_id: str) -> str:
    return next((copy.status for copy in site.copies(agent_id) if copy.host == host), "")


def adopt(site: Site, transfer: str, *, fence: bool = True, host: str = "a") -> dict[str, Any]:
    params = adoption_api.AdoptTransferParams(transfer=transfer, fence=fence)
    return site.ask(host, adoption_api.TRANSFERS_ADOPT, params)


def quarantined(site: Site, host: str) -> list[dict[str, Any]]:
    return site.ask(host, adoption_api.COPIES_LIST, adoption_api.CopiesListParams())["copies"]


def drop(site: Site, host: str, agent_id: str) -> None:
    site.ask(host, adoption_api.COPIES_DROP, adoption_api.CopyParams(copy=agent_id))
    assert quarantined(site, host) == []


def events(site: Site, host: str, kind: str, agent_id: str) -> list[dict[str, Any]]:
    found = site.ask(host, api.EVENTS_LIST, api.EventsListParams(since=0, limit=1000))["events"]
    return [each for each in found if (each["kind"], each["agent_id"]) == (kind, agent_id)]


@pytest.mark.parametrize("restarted", [False, True])
def test_work_goes_on_and_the_copies_meet_when_the_target_is_back(site: Site, restarted: bool) -> None:
    journey = lost(site)
    agent_id = journey.agent_id
    waiting = site.soon(lambda: site.tell("a", agent_id, "add", by=1))
    if restarted:
        site["a"].restart()
        eventually(lambda: _status(site, "a", agent_id) == "in-doubt")
    [transfer] = site.transfers()
    adopted = adopt(site, transfer["transfer_id"])
    assert (adopted["status"], adopted["lineage"], adopted["transfer_id"]) == (
        "active",
        1,
        transfer["transfer_id"],
    )
    count = site.tell("a", agent_id, "add", by=1)
    if not restarted:
        assert waiting.result(20.0) in {count - 1, count + 1}, "what waited for it is handled, too"
    assert (
        site.tell("a", agent_id, "save", by=1) == max(count, waiting.result(20.0) if not restarted else 0) + 1
    )
    assert [each["status"] for each in site.transfers()] == ["abandoned"]
    if restarted:
        waiting.exception(20.0)
        site["a"].restart()  # what is left to do survives that, too
        assert [each["status"] for each in site.transfers()] == ["abandoned"]
    site["b"].start()
    eventually(lambda: quarantined(site, "b"), what=site.logs)
    [kept] = quarantined(site, "b")
    assert (kept["agent_id"], kept["lineage"], kept["was"]) == (agent_id, 0, "active")
    copy = site.settled_as("active", agent_id)
    assert copy.host == "a"
    site.only_their_processes()
    assert site.tell("b", agent_id, "look")["count"] >= count, "messages follow it"
    [told] = events(site, "b", "quarantined", agent_id)
    assert told["data"]["told_by"] == "a"
    assert len(events(site, "a", "adopted", agent_id)) == (0 if restarted else 1)
    eventually(lambda: not _owed(site, "a"))
    drop(site, "b", agent_id)


def _owed(site: Site, host: str) -> list[Any]:
    return site.ask(host, adoption_api.COPIES_LIST, adoption_api.CopiesListParams())["notices"]


def test_what_never_arrived_is_not_missed(site: Site) -> None:
    journey = lost(site, point="trailer-received")
    assert adopt(site, journey.agent_id)["status"] == "active"
    site["b"].start()
    copy = site.settled_as("active", journey.agent_id)
    assert copy.host == "a"
    assert quarantined(site, "b") == []
    settled = events(site, "a", "transfer-settled", journey.agent_id)
    assert [each["data"]["outcome"] for each in settled] == ["fenced"]
    site.only_their_processes()


@pytest.mark.parametrize("kind", ["own", pytest.param("parked", marks=pytest.mark.slow)])
def test_it_goes_on_as_it_was(site: Site, kind: str) -> None:
    journey = lost(site, kind)
    adopted = adopt(site, journey.agent_id[:12])
    assert adopted["status"] == ("inactive" if kind == "parked" else "active")
    site["b"].start()
    eventually(lambda: quarantined(site, "b"), what=site.logs)
    copy = site.settled_as(adopted["status"], journey.agent_id)
    assert (copy.host, copy.epoch) == ("a", journey.epoch + 1)
    assert site.tell("b", journey.agent_id, "look")["count"] >= 0
    drop(site, "b", journey.agent_id)


def test_the_copies_meet_when_the_adopted_one_comes_by(site: Site) -> None:
    journey = lost(site)
    agent_id = journey.agent_id
    adopt(site, agent_id)
    site["b"].hold_all("question-received")
    site["b"].start()
    site.wait_met()
    eventually(lambda: _status(site, "b", agent_id) == "active")
    assert {copy.host for copy in site.copies(agent_id)} == {"a", "b"}, "only adoption can double"
    ticket = {"destination": site["b"].url}
    site.ask("a", api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=agent_id, ticket=ticket))
    [kept] = quarantined(site, "b")
    assert (kept["agent_id"], kept["lineage"], kept["higher_host"]) == (agent_id, 0, "b")
    site["b"].let_go("question-received")
    copy = site.settled_as("active", agent_id)
    assert copy.host == "b"
    site.only_their_processes()
    drop(site, "b", agent_id)


def test_an_operator_may_prefer_the_copy_in_quarantine(site: Site) -> None:
    journey = lost(site)
    agent_id = journey.agent_id
    adopt(site, agent_id)
    site["b"].start()
    eventually(lambda: quarantined(site, "b"), what=site.logs)
    site.at_rest()
    params = adoption_api.AdoptCopyParams(copy=agent_id)
    with pytest.raises(HostError, match=r"makes two of it.*--fence"):
        site.ask("b", adoption_api.COPIES_ADOPT, params)
    params = adoption_api.AdoptCopyParams(copy=agent_id, life="0", fence=True)
    with pytest.raises(HostError, match="--life says which"):
        site.ask("b", adoption_api.COPIES_ADOPT, params)
    params = adoption_api.AdoptCopyParams(copy=agent_id, fence=True)
    assert site.ask("b", adoption_api.COPIES_ADOPT, params)["lineage"] == 2
    eventually(lambda: quarantined(site, "a"), what=site.logs)
    assert quarantined(site, "b") == []
    copy = site.settled_as("active", agent_id)
    assert copy.host == "b"
    assert site.tell("a", agent_id, "look")["count"] >= 0
    site.only_their_processes()
    drop(site, "a", agent_id)


def test_who_prefers_the_copy_in_quarantine_may_hang_up(site: Site) -> None:
    agent_id = lost(site).agent_id
    adopt(site, agent_id)
    site["b"].start()
    eventually(lambda: quarantined(site, "b"), what=site.logs)
    site.at_rest()
    caller = HostClient(mesh_dir=site["b"].data_dir.parent / "mesh")
    site["b"].hold("after:active:activation")
    caller.submit(
        site["b"].url, adoption_api.COPIES_ADOPT, adoption_api.AdoptCopyParams(copy=agent_id, fence=True)
    )
    site["b"].reached("after:active:activation")
    caller.close()
    site["b"].let_go("after:active:activation")
    eventually(lambda: quarantined(site, "a"), what=site.logs)
    assert site.settled_as("active", agent_id).host == "b"
    site.only_their_processes()
    drop(site, "a", agent_id)


def test_without_the_fence_it_is_refused_in_words(site: Site) -> None:
    journey = lost(site)
    with pytest.raises(HostError, match=r"if paglet .* arrived at b, adopting it makes two of it.*--fence"):
        adopt(site, journey.agent_id, fence=False)
    assert _status(site, "a", journey.agent_id) == "in-doubt"
    site["b"].start()
    journey.finish("b")


def test_what_is_not_in_doubt_is_not_adopted(site: Site) -> None:
    at_home = site.create("a")
    with pytest.raises(HostError, match="is not in doubt: it is active here"):
        adopt(site, at_home)
    with pytest.raises(HostError, match=r"paglets transfers. lists them"):
        adopt(site, "nobody")
    site["b"].hold("header-received")
    journey = set_out(site, "dispatch")
    site["b"].reached("header-received")
    with pytest.raises(HostError, match="under way, not in doubt"):
        adopt(site, journey.agent_id)
    site["b"].let_go("header-received")
    journey.finish("b")
    with pytest.raises(HostError, match="is not in doubt: it is departed at b"):
        adopt(site, journey.agent_id)


def test_a_target_that_answers_settles_it_itself(site: Site) -> None:
    site["b"].hold("verdict-due")
    site["b"].hold_all("question-received")
    journey = set_out(site, "dispatch", timeout=SHORT)
    site["b"].reached("question-received")
    eventually(lambda: _status(site, "a", journey.agent_id) == "in-doubt")
    call = site.soon(lambda: adopt(site, journey.agent_id))
    site["b"].let_go("question-received")
    with pytest.raises(HostError, match=r"just (said|been settled)|is not in doubt"):
        call.result(20.0)
    site["b"].let_go("verdict-due")
    journey.finish("b")


@pytest.mark.slow
def test_news_follows_a_copy_that_has_moved_on(make_site: Callable[..., Site]) -> None:
    site = make_site("a", "b", "c")
    journey = lost(site)
    agent_id = journey.agent_id
    site["a"].kill()
    site["b"].start()
    eventually(lambda: _status(site, "b", agent_id) == "active")
    ticket = {"destination": site["c"].url}
    site.ask("b", api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=agent_id, ticket=ticket))
    site["b"].kill()
    site["a"].start()
    eventually(lambda: _status(site, "a", agent_id) == "in-doubt")
    adopt(site, agent_id)
    assert {copy.host for copy in site.copies(agent_id)} == {"a", "c"}
    site["b"].start()
    eventually(lambda: quarantined(site, "c"), what=site.logs)
    copy = site.settled_as("active", agent_id)
    assert copy.host == "a"
    for host in "abc":
        assert site.tell(host, agent_id, "look")["count"] >= 0
    site.only_their_processes()
