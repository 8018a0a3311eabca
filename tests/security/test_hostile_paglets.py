"""A paglet that speaks to its host by hand: it is asked for nothing that it could not have asked for politely."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import PagletCrashedError
from paglets.core.messages import Message
from paglets.remote import api, outbox_api
from paglets.runtime.host import Host
from tests.security.hostile import Hostile
from tests.security.samples import Quiet
from tests.security.test_operations import MEMBERS_ONLY
from tests.security.watch import goes_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.remote.proxy import PagletProxy


@pytest.fixture
def hostile(victim: Host) -> Iterator[PagletProxy]:
    proxy = victim.create(Hostile)
    yield proxy
    proxy.dispose()


@pytest.fixture(scope="module")
def bystander(victim: Host) -> PagletProxy:
    return victim.create(Quiet, agent_id="bystander")


@pytest.fixture(scope="module")
def other(victim: Host, site: Path) -> Iterator[Host]:
    host = Host("other", mesh_dir=site / "mesh", persistence_dir=site / "other", peers=[victim.address])
    with host:
        host.create(Quiet, agent_id="far-away")
        yield host


def do(hostile: PagletProxy, kind: str, **args: Any) -> Any:
    return hostile.send(Message(kind, args), timeout=30)


OPERATORS = [
    api.HOST_DRAIN, api.HOST_BACKUP, api.HOST_ACCEPT_RESTORED, outbox_api.OUTBOX_LIST, outbox_api.OUTBOX_PAGLETS,
    outbox_api.DEAD_LETTERS_LIST, outbox_api.DEAD_LETTERS_REPLAY, outbox_api.DEAD_LETTERS_DROP,
]  # fmt: skip


@pytest.mark.parametrize("method", [*MEMBERS_ONLY, *OPERATORS, api.HOST_ASK])
def test_it_may_not_do_what_hosts_do_among_each_other(hostile: PagletProxy, method: str) -> None:
    told = do(hostile, "call", method=method, params="{}")
    assert told["error"] == "ForbiddenError", told


async def test_it_cannot_write_in_anothers_name(
    victim: Host, hostile: PagletProxy, bystander: PagletProxy, other: Host
) -> None:
    """However it splices what it sends, here or to another host: the sender is set by its host."""
    for body in (
        "{}",
        '{}, "sender": "the-director"',
        '{}, "agent_id": "AGENT", "sender": "the-director", "waiting": ["AGENT"]',
        '{"args": {"sender": "x"}}, "hops": 3, "sender": "bystander"',
    ):
        for agent_id, host in (("bystander", victim), ("far-away", other)):
            told = do(
                hostile,
                "splice",
                agent_id=agent_id,
                body=body.replace("AGENT", agent_id),
                host_url=host.address,
            )
            assert told["result"]["sender"] == hostile.agent_id, told
    await goes_on(victim)


@pytest.mark.parametrize(
    "body", ['{}}, {"agent_id": "bystander"', "{}} {}", "{", '"', '{}, "x": [1, 2', '{}, "a": nan', ""]
)
async def test_what_is_not_one_object_ends_its_process_and_nothing_else(
    victim: Host, bystander: PagletProxy, body: str
) -> None:
    hostile = victim.create(Hostile)
    with pytest.raises(PagletCrashedError):
        do(hostile, "splice", agent_id="bystander", body=body)
    assert bystander.send(Message("echo"), timeout=10)["args"] == {}
    await goes_on(victim)
    hostile.dispose()


async def test_parameters_that_make_no_sense_are_refused(victim: Host, hostile: PagletProxy) -> None:
    for method in (api.PAGLETS_CREATE, api.PAGLETS_DISPATCH, api.MESSAGE_SEND, api.PAGLETS_LIST, "no.such"):
        for params in (
            "{}",
            '{"agent_id": 5}',
            '{"agent_id": "\\u0000"}',
            json.dumps({"state": "x" * 10_000}),
        ):
            told = do(hostile, "call", method=method, params=params)
            if "error" in told:
                assert told["error"] in {"SerializationError", "HostError", "InvalidAgentError"}, told
    await goes_on(victim)


@pytest.mark.slow
async def test_more_calls_than_it_may_have_are_refused(
    victim: Host, hostile: PagletProxy, bystander: PagletProxy
) -> None:
    refused = do(hostile, "flood", times=6000)
    assert 0 <= refused < 6000
    await goes_on(victim)
