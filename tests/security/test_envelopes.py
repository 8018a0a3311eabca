"""A member of the mesh that sends envelopes which are not what they should be.

Whatever it is, the host answers with a refusal or a fence, keeps nothing of it, and goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.incarnation import Incarnation, Lineage, TransferId
from paglets.persistence.records import HookKind, MoveKind
from paglets.remote.envelopes.header import InactiveEntry
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.strict_json import write_strict
from paglets.remote.wire.settings import STREAM_PATH
from tests.security.intruder import STATE, Answer, Intruder, altered_trailer
from tests.security.watch import alarm, goes_on, last_event, paglets_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.runtime.host import Host


async def refused(answer: Answer, victim: Host, agent_id: str, *reasons: str) -> None:
    assert answer.kind == "refused", answer
    assert any(reason in answer.reason for reason in reasons), answer.reason
    assert agent_id not in await asyncio.to_thread(paglets_of, victim)


async def test_a_good_envelope_is_taken_in(victim: Host, mallory: Intruder) -> None:
    header = mallory.header(victim)
    assert (await mallory.send(victim, header)).kind == "arrived"
    assert header.agent_id in await asyncio.to_thread(paglets_of, victim)


async def test_nobody_takes_the_place_of_a_service_before_it_is_there(
    victim: Host, mallory: Intruder
) -> None:
    header = mallory.header(victim, agent_id="service.not-started-yet")
    await refused(await mallory.send(victim, header), victim, header.agent_id, "resident service")


async def test_the_same_envelope_again_gets_the_same_verdict_and_makes_no_second_paglet(
    victim: Host, mallory: Intruder
) -> None:
    header = mallory.header(victim)
    first = await mallory.send(victim, header)
    before = await asyncio.to_thread(paglets_of, victim)
    again = [await mallory.send(victim, header) for _ in range(2)]
    at_once = await asyncio.gather(*(mallory.send(victim, header) for _ in range(4)))
    assert first.kind == "arrived"
    for answer in (*again, *at_once):
        assert answer.kind in {"arrived", "refused"}, answer
        if answer.kind == "arrived":
            assert json.loads(answer.frame)["verdict"] == json.loads(first.frame)["verdict"]
    assert await asyncio.to_thread(paglets_of, victim) == before
    await goes_on(victim)


async def test_the_same_new_envelope_over_several_connections_at_once_makes_one_paglet(
    victim: Host, mallory: Intruder
) -> None:
    header = mallory.header(victim)
    answers = await asyncio.gather(*(mallory.send(victim, header) for _ in range(6)))
    verdicts = {json.loads(answer.frame)["verdict"] for answer in answers if answer.kind == "arrived"}
    assert len(verdicts) == 1
    assert {answer.kind for answer in answers} <= {"arrived", "refused"}, answers
    for answer in answers:
        assert "KeyError" not in answer.reason
    await goes_on(victim)


async def test_an_envelope_that_is_overtaken_by_itself_gets_the_same_verdict(
    victim: Host, mallory: Intruder
) -> None:
    signed = mallory.sign(mallory.header(victim))
    async with mallory.open(victim.address, STREAM_PATH) as slow:
        slow.channel.send_text(signed.encode())
        await asyncio.sleep(0.1)
        quick = await mallory.send(victim, signed)
        slow.channel.send_binary(STATE)
        slow.channel.send_text(mallory.trailer(signed))
        late = await mallory.answer(slow, victim)
    assert (quick.kind, late.kind) == ("arrived", "arrived"), late
    assert json.loads(late.frame)["verdict"] == json.loads(quick.frame)["verdict"]


async def test_a_replayed_envelope_of_somebody_else_is_refused(
    victim: Host, mallory: Intruder, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Intruder.host(site / "mesh", "bystander")
    header = other.sign(other.header(victim))
    since = await asyncio.to_thread(last_event, victim)
    answer = await mallory.send(victim, header.encode(), trailer=other.trailer(header))
    await refused(answer, victim, header.header.agent_id, "came over a connection of")
    await alarm(victim, "envelope", since, peer=mallory.key.host_id)
    logged = [vars(record) for record in caplog.records if record.message == "an envelope was refused"]
    assert [(each["peer"], each["levelname"]) for each in logged] == [("mallory", "WARNING")]
    await goes_on(victim)


async def test_an_envelope_for_another_host_or_mesh_is_refused(victim: Host, mallory: Intruder) -> None:
    for changes, reason in (
        ({"destination": HostKey.generate().host_id}, "not for this host"),
        ({"mesh_id": HostKey.generate().host_id}, "of another mesh"),
        ({"destination": mallory.key.host_id}, "meant for the host that sends it"),
    ):
        header = mallory.header(victim, **changes)
        since = await asyncio.to_thread(last_event, victim)
        await refused(await mallory.send(victim, header), victim, header.agent_id, reason)
        await alarm(victim, "envelope", since, peer=mallory.key.host_id)
    await goes_on(victim)


async def test_a_header_signed_by_another_key_is_refused(victim: Host, mallory: Intruder) -> None:
    thief = HostKey.generate()
    header = mallory.header(victim)
    since = await asyncio.to_thread(last_event, victim)
    answer = await mallory.send(victim, mallory.sign(header, key=thief))
    await refused(answer, victim, header.agent_id, "came over a connection of")
    posing = mallory.header(victim, source=thief.host_id, transfer_id=TransferId(thief.host_id, 1))
    await refused(await mallory.send(victim, posing), victim, posing.agent_id, "another source than the key")
    await alarm(victim, "envelope", since, peer=mallory.key.host_id)
    await goes_on(victim)


async def test_altered_bytes_are_refused(victim: Host, mallory: Intruder) -> None:
    header = mallory.header(victim)
    signed = mallory.sign(header)
    frame, trailer = signed.encode(), mallory.trailer(signed)
    bent = bytearray(STATE)
    bent[-3] ^= 1
    since = await asyncio.to_thread(last_event, victim)
    for sent, payload, sent_trailer, what in (
        (frame.replace(b"wanderer", b"wonderer"), STATE, trailer, "envelope"),
        (frame[:40] + (b"0" if frame[40:41] != b"0" else b"1") + frame[41:], STATE, trailer, "envelope"),
        (frame + b" ", STATE, trailer, "envelope"),
        (frame, bytes(bent), trailer, "trailer"),
        (frame, STATE, trailer.replace(b'"payload_size":', b'"payload_size": '), "trailer"),
        (frame, STATE, trailer[:-5], "trailer"),
        (frame, STATE, b"{}", "trailer"),
        (frame, STATE, frame, "trailer"),
    ):
        answer = await mallory.send(victim, sent, payload, trailer=sent_trailer)
        await refused(answer, victim, header.agent_id, "Error: ")
        since = (await alarm(victim, what, since, peer=mallory.key.host_id))["event_id"]
    await goes_on(victim)


async def test_a_trailer_that_is_signed_and_lies_is_refused(victim: Host, mallory: Intruder) -> None:
    signed = mallory.sign(mallory.header(victim))
    other = mallory.sign(mallory.header(victim))
    key, own_id = mallory.key, signed.header.transfer_id
    for trailer in (
        altered_trailer(key, signed, payload_size=len(STATE) + 1),
        altered_trailer(key, signed, payload_digest=hashlib.sha256(b"x").hexdigest()),
        altered_trailer(key, signed, header_digest=other.digest),
        altered_trailer(key, signed, transfer_id=TransferId(own_id.source, own_id.counter + 1)),
        altered_trailer(HostKey.generate(), signed),
        mallory.trailer(other),
    ):
        since = await asyncio.to_thread(last_event, victim)
        answer = await mallory.send(victim, signed, trailer=trailer)
        await refused(answer, victim, signed.header.agent_id, "Error: ")
        await alarm(victim, "trailer", since, peer=mallory.key.host_id)
    assert (await mallory.send(victim, signed)).kind == "arrived", "nothing was decided by all of that"


async def test_a_truncated_envelope_leaves_nothing(victim: Host, mallory: Intruder) -> None:
    header = mallory.header(victim, payload_size=3_000_000)
    signed, payload = mallory.sign(header), bytes(3_000_000)
    since = await asyncio.to_thread(last_event, victim)
    async with mallory.open(victim.address, STREAM_PATH) as link:
        link.channel.send_text(signed.encode())
        for _ in range(5):
            link.channel.send_binary(payload[:200_000])
            await link.channel.drain()
    answer = await mallory.send(victim, signed, payload[:-1], trailer=mallory.trailer(signed, payload))
    await refused(answer, victim, header.agent_id, "bytes")
    await alarm(victim, "trailer", since, peer=mallory.key.host_id)
    assert header.agent_id not in await asyncio.to_thread(paglets_of, victim)
    await goes_on(victim)


async def test_more_payload_than_announced_is_cut_off(victim: Host, mallory: Intruder) -> None:
    header = mallory.header(victim, payload_size=10)
    since = await asyncio.to_thread(last_event, victim)
    answer = await mallory.send(victim, header, bytes(1_000_000))
    await refused(answer, victim, header.agent_id, "larger than announced")
    await alarm(victim, "bad-frames", since)
    await goes_on(victim)


BODIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "an unknown field": lambda plain: json.dumps({**plain, "admin": True}),
    "a missing field": lambda plain: json.dumps({k: v for k, v in plain.items() if k != "birth"}),
    "a doubled field": lambda plain: json.dumps(plain)[:-1] + ',"agent_id":"twice"}',
    "another type": lambda plain: json.dumps({**plain, "payload_size": "5"}),
    "nesting": lambda plain: json.dumps({**plain, "ticket": json.loads('{"a":' * 50 + "1" + "}" * 50)}),
    "deep nesting": lambda plain: json.dumps(plain)[:-1].replace('"event": {}', '"event": ' + "[" * 50_000),
    "a huge number": lambda plain: json.dumps({**plain, "payload_size": 10**50}),
    "not a number": lambda plain: json.dumps({**plain, "sent_at": float("nan")}),
    "no JSON": lambda plain: "{" + "x" * 100,
    "an array": lambda plain: "[]",
    "another version": lambda plain: json.dumps({**plain, "protocol": 2}),
    "a hidden character": lambda plain: json.dumps({**plain, "agent_id": "a\u202eb"}),
    "a new line": lambda plain: json.dumps({**plain, "source_name": "x\nforged log line"}),
    "half a character": lambda plain: json.dumps({**plain, "source_name": "\ud800"}),
    "an empty id": lambda plain: json.dumps({**plain, "agent_id": ""}),
    "a long id": lambda plain: json.dumps({**plain, "agent_id": "a" * 200}),
    "a wide id": lambda plain: json.dumps({**plain, "agent_id": "\U0001d54f" * 200}),
    "a path for an id": lambda plain: json.dumps({**plain, "agent_id": "../../etc/passwd"}),
    "an id with a host": lambda plain: json.dumps({**plain, "agent_id": "x@victim"}),
    "no class": lambda plain: json.dumps({**plain, "class_name": "os.system"}),
    "no host": lambda plain: json.dumps({**plain, "birth": "nobody"}),
    "no life": lambda plain: json.dumps({**plain, "incarnation": [[0, ""], 0]}),
    "a life past all bounds": lambda plain: json.dumps({**plain, "incarnation": [[0, ""], 2**62 * 3]}),
    "a lineage past all bounds": lambda plain: json.dumps(
        {**plain, "incarnation": [[2**80, plain["birth"]], 2]}
    ),
    "a counter past all bounds": lambda plain: json.dumps({**plain, "transfer_id": [plain["source"], 2**64]}),
    "a ticket that is none": lambda plain: json.dumps({**plain, "ticket": {"expected_code_version": []}}),
    "another codec": lambda plain: json.dumps({**plain, "state_codec": "pickle"}),
}


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES.keys())
async def test_a_signed_header_with_nonsense_in_it_is_refused(
    victim: Host, mallory: Intruder, make: Callable[[dict[str, Any]], str]
) -> None:
    plain = msgspec.json.decode(write_strict(mallory.header(victim)))
    before = await asyncio.to_thread(paglets_of, victim)
    since = await asyncio.to_thread(last_event, victim)
    answer = await mallory.send(victim, mallory.sign_body(make(plain).encode()), trailer=b"{}")
    assert answer.kind == "refused", answer
    assert not answer.reason.startswith("HostError: the transfer failed"), answer
    assert answer.reason.isprintable()
    await alarm(victim, "envelope", since, peer=mallory.key.host_id)
    assert await asyncio.to_thread(paglets_of, victim) == before


async def test_a_header_over_its_bound_is_refused(victim: Host, mallory: Intruder) -> None:
    body = write_strict(mallory.header(victim, event={"padding": "x" * 200_000}))
    answer = await mallory.send(victim, mallory.sign_body(body), trailer=b"{}")
    assert "bound" in answer.reason
    answer = await mallory.send(victim, b"x" * 1_000_000, trailer=b"{}")
    assert answer.kind in {"refused", "closed"}
    await goes_on(victim)


async def test_frames_out_of_order_are_refused(victim: Host, mallory: Intruder) -> None:
    async with mallory.open(victim.address, STREAM_PATH) as link:
        link.channel.send_binary(b"payload first")
        assert (await mallory.answer(link, victim)).kind == "refused"
    async with mallory.open(victim.address, STREAM_PATH) as link:
        link.channel.send_text(b"\xff\xfe no text")
        assert (await mallory.answer(link, victim)).kind in {"refused", "closed"}
    await goes_on(victim)


async def test_a_life_that_is_not_newer_is_fenced(victim: Host, mallory: Intruder) -> None:
    first = mallory.header(victim, incarnation=Incarnation(epoch=5))
    assert (await mallory.send(victim, first)).kind == "arrived"
    for changes in (
        {"incarnation": Incarnation(epoch=5)},
        {"incarnation": Incarnation(epoch=4)},
        {
            "birth": HostKey.generate().host_id,
            "incarnation": Incarnation(Lineage(1, mallory.key.host_id), 9),
        },
        {"birth": HostKey.generate().host_id, "incarnation": Incarnation(epoch=9)},
    ):
        later = mallory.header(victim, agent_id=first.agent_id, **changes)
        answer = await mallory.send(victim, later)
        assert answer.kind in {"fenced", "refused"}, answer
    await goes_on(victim)


@pytest.mark.parametrize(
    ("policy", "request_"),
    [
        ({"activate_on_startup": "yes"}, {}),
        ({"activate_at": {}}, {}),
        ({}, {"reason": 5}),
        ({}, {"policy": {"activate_on_message": 1}}),
    ],
)
async def test_terms_that_could_not_be_read_at_the_next_start_are_refused(
    victim: Host, mallory: Intruder, policy: dict[str, Any], request_: dict[str, Any]
) -> None:
    header = mallory.header(victim, inactive=InactiveEntry(policy=policy, request=request_))
    await refused(await mallory.send(victim, header), victim, header.agent_id, "terms")


async def test_hooks_and_events_that_make_no_sense_harm_the_paglet_only(
    victim: Host, mallory: Intruder
) -> None:
    strange: list[dict[str, Any]] = [
        {"hook": HookKind.CREATION},
        {"hook": HookKind.ACTIVATION, "event": {"reason": [1, 2]}},
        {"event": {"agent_id": "somebody-else", "host_name": "elsewhere", "init": {"x": 1}}},
        {"event": {"__class__": "x", "self": 1, "nothing": None}},
        {"kind": MoveKind.CLONE, "clone_of": "original", "hook": HookKind.CLONE, "event": {"a": "b"}},
        {"kind": MoveKind.RETRACT},
        {"ticket": {}},
        {"ticket": {"arrival_mode": []}},
        {"code_version": "another"},
    ]
    for changes in strange:
        header = mallory.header(victim, **changes)
        answer = await mallory.send(victim, header)
        assert answer.kind in {"arrived", "refused", "fenced"}, (changes, answer)
        assert not answer.reason.startswith("HostError: the transfer failed"), (changes, answer)
    await goes_on(victim)
