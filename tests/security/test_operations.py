"""Whatever is said on a control link: an answer or a documented error, and the host goes on.

Everybody here has a certificate of the mesh.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.errors import ForbiddenError, HostError
from paglets.core.incarnation import Incarnation
from paglets.remote import adoption_api, api, artifact_api
from paglets.remote.members import Gossip, ProbeParams
from paglets.remote.trust.keys import HostKey
from paglets.remote.wire.frames import FORBIDDEN, INTERNAL_ERROR, TOO_BUSY
from paglets.remote.wire.settings import STREAM_PATH
from paglets.runtime.host import Host
from tests.security.intruder import Intruder
from tests.security.samples import Quiet
from tests.security.watch import alarm, goes_on, last_event, paglets_of, status_counts

if TYPE_CHECKING:
    from pathlib import Path


MEMBERS_ONLY = [
    api.HOST_HELLO, api.VERDICT_ASK, api.MESH_PING, api.MESH_PROBE, api.MESH_GOODBYE, api.REVOCATIONS_EXCHANGE,
    api.TRANSFERS_OPEN, api.PAGLETS_SURRENDER, api.PAGLETS_ARRIVAL, api.ADOPTION_NOTICE,
]  # fmt: skip
NOBODY_FROM_AFAR = [
    # Paglets for themselves, and in part whoever is on the host's machine.
    api.SERVICES_ADVERTISE, api.SERVICES_UNADVERTISE, api.HOST_BACKUP, api.HOST_ACCEPT_RESTORED,
    artifact_api.ARTIFACTS_UPLOAD, artifact_api.ARTIFACTS_DOWNLOAD,
    artifact_api.FILES_REGISTER, artifact_api.FILES_LIST, artifact_api.FILES_UNREGISTER,
]  # fmt: skip
NAMES: list[Any] = [
    "", " ", "\x00", "\n", "a\nb", "\u202eevil", "\ud83d\ude00", "../../etc/passwd", "a" * 300, "a" * 100_000, "%00",
    "*", "x@y", "'; DROP TABLE", "\u0000\u001b[2J",
]  # fmt: skip
NUMBERS: list[Any] = [-1, 0, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30), 1e308, -0.5, 1e-300]
SHAPES: list[Any] = [None, True, [], {}, [[]], {"": {}}, [1, "x"], "text", 5]


OPERATIONS: dict[str, type[msgspec.Struct]] = {
    api.HOST_STATUS: api.NoParams,
    api.HOST_HEALTH: api.NoParams,
    api.HOST_ASK: api.AskParams,
    api.HOST_DRAIN: api.DrainParams,
    api.HOST_BACKUP: api.NoParams,
    api.HOST_ACCEPT_RESTORED: api.AcceptRestoredParams,
    api.HOSTS_LIST: api.HostsListParams,
    api.HOST_PROPERTY: api.PropertyParams,
    api.HOST_SET_PROPERTY: api.SetPropertyParams,
    api.HOST_HELLO: api.HelloParams,
    api.PAGLETS_LIST: api.PagletsListParams,
    api.PAGLETS_INFO: api.PagletParams,
    api.PAGLETS_STATE: api.PagletParams,
    api.PAGLETS_PASSPORT: api.PagletParams,
    api.PAGLETS_LOCATE: api.LocateParams,
    api.PAGLETS_CREATE: api.CreateParams,
    api.PAGLETS_DISPATCH: api.DispatchParams,
    api.PAGLETS_CLONE: api.CloneParams,
    api.PAGLETS_RETRACT: api.RetractParams,
    api.PAGLETS_SURRENDER: api.SurrenderParams,
    api.PAGLETS_ARRIVAL: api.ArrivalParams,
    api.PAGLETS_DEACTIVATE: api.DeactivateParams,
    api.PAGLETS_ACTIVATE: api.PagletParams,
    api.PAGLETS_DISPOSE: api.PagletParams,
    api.PAGLETS_CHECKPOINT: api.PagletParams,
    api.PAGLETS_NOTIFY: api.NotifyParams,
    api.MESSAGE_SEND: api.MessageParams,
    api.MESSAGE_MULTICAST: api.MulticastParams,
    api.EVENTS_LIST: api.EventsListParams,
    api.EVENTS_SUBSCRIBE: api.EventsListParams,
    api.SUBSCRIPTION_CANCEL: api.SubscriptionParams,
    api.LOGS_READ: api.LogsReadParams,
    api.TRANSFERS_LIST: api.NoParams,
    api.ADOPTION_NOTICE: api.NoticeParams,
    adoption_api.TRANSFERS_ADOPT: adoption_api.AdoptTransferParams,
    adoption_api.COPIES_LIST: adoption_api.CopiesListParams,
    adoption_api.COPIES_ADOPT: adoption_api.AdoptCopyParams,
    adoption_api.COPIES_DROP: adoption_api.CopyParams,
    api.VERDICT_ASK: api.VerdictAskParams,
    api.TRANSFERS_OPEN: api.OpenTransfersParams,
    api.MESH_PING: Gossip,
    api.MESH_PROBE: ProbeParams,
    api.MESH_GOODBYE: api.GoodbyeParams,
    api.REVOCATIONS_EXCHANGE: api.RevocationsParams,
    api.SERVICES_ADVERTISE: api.AdvertiseParams,
    api.SERVICES_UNADVERTISE: api.UnadvertiseParams,
    api.SERVICES_LOOKUP: api.LookupParams,
    api.SERVICES_LIST: api.ServicesListParams,
    api.SERVICES_LEASE: api.LeaseParams,
    api.SERVICES_RELEASE: api.ReleaseParams,
    artifact_api.ARTIFACTS_LIST: artifact_api.ArtifactsListParams,
    artifact_api.ARTIFACTS_INFO: artifact_api.ArtifactParams,
    artifact_api.ARTIFACTS_DELETE: artifact_api.ArtifactParams,
    artifact_api.ARTIFACTS_UPLOAD: artifact_api.UploadParams,
    artifact_api.ARTIFACTS_DOWNLOAD: artifact_api.DownloadParams,
    artifact_api.FILES_REGISTER: artifact_api.RegisterFileParams,
    artifact_api.FILES_LIST: artifact_api.FilesParams,
    artifact_api.FILES_UNREGISTER: artifact_api.FileParams,
}


def frame(method: str, params: bytes, number: int = 1) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b}' % (
        number,
        json.dumps(method).encode(),
        params,
    )


def good(params: type[msgspec.Struct], who: Intruder) -> dict[str, Any]:
    """Parameters that the host accepts, more or less."""
    known: dict[str, Any] = {
        "agent_id": "nobody-here", "key": "key", "prefix": "nobody", "class_name": "no_such_module:X", "ticket": {},
        "kind": "k", "message_id": "m", "source": who.key.host_id, "counter": 1, "incarnation": [[0, ""], 1],
        "timeout": 0.2, "host_id": who.key.host_id, "name": "mallory", "url": "https://127.0.0.1:1",
        "method": "host.status", "host_url": "https://127.0.0.1:1", "subscription": 1, "ttl": 1.0, "lease_id": "l",
        "artifact_id": "a", "path": "/etc/passwd", "mode": "move", "size": 1, "sha256": "0" * 64, "created_at": 1.0,
        "modified_at": 1.0, "device": 1, "inode": 1, "modified_ns": 1,
        "sender": {"facts": {"host_id": who.key.host_id, "name": "mallory", "url": "https://127.0.0.1:1"}},
    }  # fmt: skip
    if params is api.MessageParams:
        known["sender"] = "somebody"
    return {name: known[name] for name in params.__struct_fields__ if name in known}


def variations(plain: dict[str, Any], params: type[msgspec.Struct]) -> list[bytes]:
    """Parameters in each of which one field is hostile."""
    made = [b"null", b"[]", b"1", b'"x"', b"{}", b"{" + b'"a":' * 20_000 + b"1" + b"}" * 20_000]
    for name in params.__struct_fields__:
        made += [json.dumps({**plain, name: value}).encode() for value in (*NAMES, *NUMBERS, *SHAPES)]
        made.append(json.dumps(plain)[:-1].encode() + b',"%b":"\xff\xfe"}' % name.encode())
    made.append(json.dumps({**plain, "unknown": "field"}).encode())
    return made


async def test_an_admin_may_not_do_what_hosts_do_among_each_other(victim: Host, admin: Intruder) -> None:
    since = await asyncio.to_thread(last_event, victim)
    before = (await asyncio.to_thread(status_counts, victim)).get("forbidden", 0)
    async with admin.open(victim.address) as link:
        for method in MEMBERS_ONLY:
            params = json.dumps(good(OPERATIONS[method], admin)).encode()
            answer = await link.ask(frame(method, params))
            assert answer["error"]["code"] == FORBIDDEN, answer
    for header in (b"{}", b'{"file":{}}'):
        async with admin.open(victim.address, STREAM_PATH) as link:
            answer = await link.ask(header)
            assert answer["refused"]["type"] == "ForbiddenError", answer
            assert "only hosts of the mesh send" in answer["refused"]["message"]
    assert (await asyncio.to_thread(status_counts, victim))["forbidden"] == before + len(MEMBERS_ONLY)
    await alarm(victim, "forbidden", since)
    await goes_on(victim)


async def test_what_paglets_do_for_themselves_cannot_be_asked_for_from_afar(
    victim: Host, admin: Intruder, mallory: Intruder
) -> None:
    """Above all: nobody on the network names a file of the host."""
    for who in (admin, mallory):
        async with who.open(victim.address) as link:
            for method in NOBODY_FROM_AFAR:
                answer = await link.ask(frame(method, json.dumps(good(OPERATIONS[method], who)).encode()))
                assert answer["error"]["code"] == FORBIDDEN, answer
    await goes_on(victim)


def test_every_operation_is_tried() -> None:
    names = {**vars(api), **vars(artifact_api), **vars(adoption_api)}
    named = {value for name, value in names.items() if name.isupper() and isinstance(value, str)}
    assert named - {api.EVENTS_NOTIFICATION, api.SUBSCRIPTION_ENDED} == set(OPERATIONS)


@pytest.mark.parametrize(
    ("role", "step"),
    [
        ("mallory", 7),  # every seventh of them is quick enough for every day
        pytest.param("mallory", 1, marks=pytest.mark.slow),
        pytest.param("admin", 1, marks=pytest.mark.slow),
    ],
)
async def test_hostile_parameters_get_a_documented_answer(
    victim: Host, request: pytest.FixtureRequest, role: str, step: int
) -> None:
    who: Intruder = request.getfixturevalue(role)
    bad: list[str] = []
    for method, params in OPERATIONS.items():
        texts = variations(good(params, who), params)[::step]
        for start in range(0, len(texts), 50):
            asked = dict(enumerate(texts[start : start + 50], start + 1))
            async with who.open(victim.address) as link:  # one each: some are no requests, and a few close it
                for number, text in asked.items():
                    link.send(frame(method, text, number))
                for _ in asked:
                    while "method" in (answer := await link.next()):
                        pass  # an event of a subscription
                    text = asked.get(answer["id"], b"a frame that was no request")
                    if "error" in answer and answer["error"]["code"] == INTERNAL_ERROR:
                        bad.append(f"{method} {text[:200]!r}: {answer['error']['message'][:300]}")
    assert not bad, "\n".join(bad)
    await goes_on(victim)


BAD_FRAMES = {
    "no JSON": b"{",
    "a batch": b'[{"jsonrpc":"2.0","id":1,"method":"host.status"}]',
    "another version": b'{"jsonrpc":"1.0","id":1,"method":"host.status"}',
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "a method that is a number": b'{"jsonrpc":"2.0","id":1,"method":1}',
    "an id that is an object": b'{"jsonrpc":"2.0","id":{},"method":"host.status"}',
    "a very long id": b'{"jsonrpc":"2.0","id":"%b","method":"host.status"}' % (b"x" * 1000),
    "two values": b'{"jsonrpc":"2.0","id":1,"method":"host.status"} {}',
    "deep nesting": b'{"jsonrpc":"2.0","id":1,"method":"host.status","params":' + b"[" * 100_000,
    "no UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"host.status","params":{"x":"\xff"}}',
}


@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
async def test_frames_that_are_no_requests_close_nothing_but_themselves_until_they_are_too_many(
    victim: Host, mallory: Intruder, bad: bytes
) -> None:
    async with mallory.open(victim.address) as link:
        for _ in range(3):
            if bad.isascii():
                assert (await link.ask(bad))["error"]["code"] in {-32700, -32600}
            assert (await link.ask(frame(api.HOST_STATUS, b"{}")))["result"]["name"] == "victim"


async def test_who_keeps_sending_nonsense_is_cut_off_and_named(victim: Host, mallory: Intruder) -> None:
    since = await asyncio.to_thread(last_event, victim)
    async with mallory.open(victim.address) as link:
        for _ in range(20):
            if link.channel.is_open:
                link.send(b"nonsense")
        assert "no requests" in await link.closed()
    assert "mallory" in (await alarm(victim, "bad-frames", since))["error"]
    await goes_on(victim)


async def test_a_frame_over_the_bound_ends_the_connection_and_nothing_else(
    victim: Host, mallory: Intruder
) -> None:
    async with mallory.open(victim.address) as bystander:
        async with mallory.open(victim.address) as link:
            link.send(b" " * (9 * 1024 * 1024))
            await link.closed()
        assert (await bystander.ask(frame(api.HOST_STATUS, b"{}")))["result"]
    await goes_on(victim)


async def test_more_calls_at_a_time_than_allowed_are_told_so(victim: Host, mallory: Intruder) -> None:
    async with mallory.open(victim.address) as link:
        for number in range(600):
            link.send(frame(api.HOST_STATUS, b"{}", number))
        answers = [await link.next() for _ in range(600)]
    assert {answer["id"] for answer in answers} == set(range(600))
    assert all("result" in answer or answer["error"]["code"] == TOO_BUSY for answer in answers)
    await goes_on(victim)


class TestGreetings:
    def hello(self, mallory: Intruder, **changes: Any) -> api.HelloParams:
        plain = api.HelloParams(
            host_id=mallory.key.host_id, name="mallory", url="https://127.0.0.1:1", store_id="s", commit=5
        )
        return msgspec.structs.replace(plain, **changes)

    async def test_a_greeting_in_anothers_name_is_refused(self, victim: Host, mallory: Intruder) -> None:
        for other in (victim.host_id, HostKey.generate().host_id, "", "nobody"):
            since = await asyncio.to_thread(last_event, victim)
            with pytest.raises(HostError, match="another host than the key"):
                await mallory.ask(victim.address, api.HOST_HELLO, self.hello(mallory, host_id=other))
            await alarm(victim, "greeting", since, peer=mallory.key.host_id)
        assert await mallory.ask(victim.address, api.HOST_HELLO, self.hello(mallory))

    async def test_nobody_can_make_a_host_believe_that_it_was_restored(
        self, victim: Host, mallory: Intruder
    ) -> None:
        """It would give no verdicts any more, so that nothing could move to it."""
        own = await mallory.ask(victim.address, api.HOST_HELLO, self.hello(mallory))
        for changes in (
            {"seen_store_id": own["store_id"], "seen_commit": 10**9},
            {"seen_store_id": own["store_id"], "seen_commit": 10**9, "seen_standing": own["standing"]},
            {"seen_store_id": "another", "seen_commit": 1, "seen_standing": own["standing"]},
            {"seen_store_id": "another", "seen_commit": 1, "seen_standing": "zz"},
        ):
            since = await asyncio.to_thread(last_event, victim)
            await mallory.ask(victim.address, api.HOST_HELLO, self.hello(mallory, **changes))
            await alarm(victim, "greeting", since, peer=mallory.key.host_id)
        assert victim.status()["restored"] == ""
        assert (await mallory.send(victim, mallory.header(victim))).kind == "arrived"

    async def test_a_store_that_really_was_restored_is_recognised(
        self, victim: Host, site: Path, tmp_path: Path
    ) -> None:
        """Peers show the host its own signed word, also when it has forgotten ever giving it."""
        data = tmp_path / "restored"

        def meet() -> tuple[str, str]:
            with Host(
                "restored", mesh_dir=site / "mesh", persistence_dir=data, peers=[victim.address]
            ) as host:
                host.mesh.wait_for_host("victim", timeout=10)
                with contextlib.suppress(HostError):  # a restored one takes nothing in
                    for _ in range(5):
                        host.create(Quiet).dispose()
                met = host.status()
            return met["store_id"], met["restored"]

        def live_and_restore() -> list[str]:
            meet()
            shutil.copytree(data, tmp_path / "copy")
            marks = [meet()[1], meet()[1]]
            shutil.rmtree(data)
            shutil.copytree(tmp_path / "copy", data)
            marks.append(meet()[1])
            return [*marks, meet()[1]]

        assert [bool(mark) for mark in await asyncio.to_thread(live_and_restore)] == [
            False,
            False,
            True,
            True,
        ]


class TestVerdicts:
    def ask(self, who: Intruder, **changes: Any) -> api.VerdictAskParams:
        fields: dict[str, Any] = {
            "source": who.key.host_id, "counter": 1, "agent_id": "some-paglet", "incarnation": Incarnation(epoch=2)
        }  # fmt: skip
        return api.VerdictAskParams(**{**fields, **changes})

    async def test_a_host_gets_verdicts_on_its_own_transfers_only(
        self, victim: Host, mallory: Intruder, site: Path
    ) -> None:
        other = Intruder.host(site / "mesh", "bystander")
        header = other.header(victim)
        assert (await other.send(victim, header)).kind == "arrived"
        since = await asyncio.to_thread(last_event, victim)
        asked = self.ask(mallory, source=other.key.host_id, agent_id=header.agent_id)
        with pytest.raises(ForbiddenError, match="its own only"):
            await mallory.ask(victim.address, api.VERDICT_ASK, asked)
        await alarm(victim, "verdict", since, peer=mallory.key.host_id)
        answer = await other.ask(victim.address, api.VERDICT_ASK, self.ask(other, agent_id=header.agent_id))
        assert answer["verdict"]

    async def test_asking_first_fences_what_comes_later(self, victim: Host, mallory: Intruder) -> None:
        header = mallory.header(victim)
        asked = self.ask(mallory, counter=header.transfer_id.counter, agent_id=header.agent_id)
        assert (await mallory.ask(victim.address, api.VERDICT_ASK, asked))["verdict"]
        answer = await mallory.send(victim, header)
        assert (answer.kind, answer.reason) == ("fenced", "it had not arrived when its source asked")

    async def test_a_floor_closes_what_is_below_it_for_good(self, victim: Host, mallory: Intruder) -> None:
        header = mallory.header(victim)
        asked = self.ask(mallory, counter=500, agent_id="another", floor=400)
        assert (await mallory.ask(victim.address, api.VERDICT_ASK, asked))["verdict"]
        answer = await mallory.send(victim, header)
        assert answer.kind == "refused"
        assert "settled" in answer.reason
        assert header.agent_id not in await asyncio.to_thread(paglets_of, victim)
