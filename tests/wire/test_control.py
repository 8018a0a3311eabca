"""Calls over a control link: answered, refused, cancelled, many at a time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import HostError, InvalidAgentError, RemoteHostError
from paglets.remote.moved import MovedReply
from paglets.remote.wire.control_server import Operation
from paglets.remote.wire.strangers import Refusal
from tests.wire.raw_link import RawLink
from tests.wire.site import NOTHING, EchoParams, NumberParams, Rig, Site, echo, settled, until

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.subscriptions import Push


async def test_a_result_comes_back_as_the_json_that_the_handler_gave(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    for method in ("echo", "echo.future"):
        assert await pool.call(rig.address, method, echo("grüß dich"), timeout=5) == '"grüß dich"'.encode()


async def test_plain_data_and_structs_are_encoded(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    assert json.loads(await pool.call(rig.address, "double", NumberParams(21), timeout=5)) == {"double": 42}
    peer = json.loads(await pool.call(rig.address, "whoami", NOTHING, timeout=5))
    assert (peer["kind"], peer["name"]) == ("member", "caller")


async def test_an_error_arrives_as_its_class_with_the_remote_traceback(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(InvalidAgentError, match="no paglet 'x' here") as caught:
        await pool.call(rig.address, "fail", NOTHING, timeout=5)
    assert any("in fail" in note for note in caught.value.__notes__)


async def test_a_mistake_of_the_host_arrives_as_host_error_and_the_link_lives_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(HostError, match="ZeroDivisionError: a mistake of the host"):
        await pool.call(rig.address, "crash", NOTHING, timeout=5)
    assert "an operation failed" in caplog.text
    assert await pool.call(rig.address, "echo", echo("still here"), timeout=5) == b'"still here"'


async def test_raw_json_that_is_not_one_value_never_reaches_a_frame(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    rig, pool = await site.rig(), site.pool()
    with pytest.raises(HostError, match="not one JSON value"):
        await pool.call(rig.address, "bad.raw", NOTHING, timeout=5)


async def test_an_answer_can_tell_where_the_paglet_is_now(site: Site) -> None:
    class Forwarding(Rig):
        def operations(self) -> dict[str, Any]:
            async def forwarded(peer: Peer, params: EchoParams) -> MovedReply:
                return MovedReply.at(b'{"reply":1}', "https://elsewhere:1")

            return {"forwarded": Operation(EchoParams, forwarded)}

    rig = Forwarding(site.mesh, site.directory)
    await rig.start()
    site.stack.push_async_callback(rig.listener.close)
    reply = await site.pool().call(rig.address, "forwarded", NOTHING, timeout=5)
    assert isinstance(reply, MovedReply)
    assert (reply, reply.host_url) == (b'{"reply":1}', "https://elsewhere:1")


async def test_a_plain_function_may_refuse_at_once(site: Site) -> None:
    class Refusing(Rig):
        def echo_future(self, peer: Peer, params: EchoParams) -> asyncio.Future[msgspec.Raw]:
            raise InvalidAgentError("not here")

        def subscribe(self, peer: Peer, params: EchoParams, push: Push) -> Callable[[], None]:
            raise InvalidAgentError("no such source")

    rig = Refusing(site.mesh, site.directory)
    await rig.start()
    site.stack.push_async_callback(rig.listener.close)
    pool = site.pool()
    with pytest.raises(InvalidAgentError, match="not here"):
        await pool.call(rig.address, "echo.future", NOTHING, timeout=5)
    ends: list[str] = []
    await pool.subscribe(rig.address, "events", NOTHING, lambda event, why: ends.append(why), timeout=5)
    await until(lambda: ends == ["no such source"])


async def test_calls_overtake_each_other_on_one_connection(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    waiting = [asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING)) for _ in range(20)]
    await until(lambda: len(rig.running) == 20)
    answers = await asyncio.gather(
        *(pool.call(rig.address, "double", NumberParams(n), timeout=5) for n in range(200))
    )
    assert [json.loads(answer)["double"] for answer in answers] == [2 * n for n in range(200)]
    rig.release.set()
    assert set(await asyncio.gather(*waiting)) == {b'"released"'}


async def test_a_call_without_an_answer_ends_in_time_and_names_the_host(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    await pool.link(rig.address)  # dialling has its own words for a host that is too slow
    with pytest.raises(RemoteHostError, match=rf"{rig.address.url} did not answer wait in time"):
        await pool.call(rig.address, "wait", NOTHING, timeout=0.05)
    assert await pool.call(rig.address, "echo", echo("on"), timeout=5) == b'"on"'
    rig.release.set()


async def test_what_a_peer_asked_for_is_cancelled_when_it_goes(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    call = asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING))
    await until(lambda: rig.running)
    await pool.close()
    await until(lambda: not rig.running)
    with pytest.raises(RemoteHostError, match="was lost before it answered"):
        await call


async def test_calls_fail_when_the_host_stops_and_say_why(site: Site) -> None:
    rig, pool = await site.rig(), site.pool()
    call = asyncio.ensure_future(pool.call(rig.address, "wait", NOTHING))
    await until(lambda: rig.running)
    await rig.listener.close("the host stops")
    with pytest.raises(RemoteHostError, match="the host stops"):
        await call
    assert not rig.running


async def test_bad_frames_get_errors_and_close_nothing_else(site: Site) -> None:
    rig = await site.rig()
    async with RawLink.open(rig, site.member()) as link:
        for frame, code, request_id in [
            (b"no json", -32700, None),
            (b'{"jsonrpc":"2.0","method":"echo","id":1}}', -32700, None),
            (b"[" * 100_000, -32700, None),
            (b'{"method":"echo","id":1}', -32600, 1),
            (b'{"jsonrpc":"1.0","method":"echo","id":"a"}', -32600, "a"),
            (b'[{"jsonrpc":"2.0","method":"echo","id":1}]', -32600, None),
            (b'{"jsonrpc":"2.0","method":7,"id":3}', -32600, 3),
            (b'{"jsonrpc":"2.0","method":"echo","id":1.5}', -32600, None),
            (b'{"jsonrpc":"2.0","method":"echo","id":"%b"}' % (b"x" * 65), -32600, None),
            (b'{"jsonrpc":"2.0","method":"nothing","id":4}', -32601, 4),
            (b'{"jsonrpc":"2.0","method":"double","id":5,"params":{"number":"x"}}', -32602, 5),
            (b'{"jsonrpc":"2.0","method":"double","id":6,"params":[]}', -32602, 6),
        ]:
            answer = await link.ask(frame)
            assert (answer["error"]["code"], answer["id"]) == (code, request_id)
            assert answer["error"]["message"]
        assert (await link.ask(b'{"jsonrpc":"2.0","method":"echo","id":"last"}'))["result"] is None


async def test_a_notification_is_not_answered(site: Site) -> None:
    rig = await site.rig()
    async with RawLink.open(rig, site.member()) as link:
        link.send(b'{"jsonrpc":"2.0","method":"echo","params":{}}')
        link.send(b'{"jsonrpc":"2.0","method":"echo","id":null}')
        assert (await link.ask(b'{"jsonrpc":"2.0","method":"echo","id":1}'))["id"] == 1


async def test_a_peer_that_keeps_sending_bad_frames_is_disconnected_and_named(site: Site) -> None:
    rig = await site.rig(max_bad_frames=3)
    async with RawLink.open(rig, site.member()) as link:
        for _ in range(3):
            link.send(b"no json")
        assert "no requests" in await link.closed()
    report = next(each for each in rig.reports if each.reason is Refusal.BAD_FRAMES)
    assert "caller" in report.detail


async def test_a_doubled_id_is_refused_while_the_first_call_runs(site: Site) -> None:
    rig = await site.rig()
    async with RawLink.open(rig, site.member()) as link:
        link.send(b'{"jsonrpc":"2.0","method":"wait","id":1}')
        answer = await link.ask(b'{"jsonrpc":"2.0","method":"echo","id":1}')
        assert "in use" in answer["error"]["message"]
        rig.release.set()
        assert (await link.next())["result"] == "released"
        assert (await link.ask(b'{"jsonrpc":"2.0","method":"echo","id":1}'))["result"] is None


async def test_calls_that_come_in_one_read_are_answered_in_order(site: Site) -> None:
    rig = await site.rig()
    async with RawLink.open(rig, site.member()) as link:
        frames = [
            b'{"jsonrpc":"2.0","id":%d,"method":"echo.settled","params":{"value":"%s"}}' % (number, text)
            for number, text in enumerate([b"x"] * 3 + [b"long" * 10_000] + [b"x"] * 3)
        ]
        for frame in [*frames, b"not JSON", frames[0]]:
            link.channel.protocol.send_text(frame)
        link.channel.transport.writelines(link.channel.protocol.data_to_send())
        answers = [await link.next() for _ in range(len(frames) + 2)]
        assert [answer["id"] for answer in answers] == [0, 1, 2, 3, 4, 5, 6, None, 0]
        assert len(answers[3]["result"]) == 40_000


async def test_too_many_calls_at_a_time_are_turned_away_each_for_itself(site: Site) -> None:
    rig = await site.rig(max_in_flight=4)
    async with RawLink.open(rig, site.member()) as link:
        for number in range(6):
            link.send(b'{"jsonrpc":"2.0","method":"wait","id":%d}' % number)
        refused = [await link.next(), await link.next()]
        assert {answer["id"] for answer in refused} == {4, 5}
        assert all("too many calls" in answer["error"]["message"] for answer in refused)
        rig.release.set()
        assert {(await link.next())["id"] for _ in range(4)} == {0, 1, 2, 3}


async def test_operations_are_for_those_whom_they_are_for(site: Site) -> None:
    rig = await site.rig()
    assert await site.pool().call(rig.address, "members.only", echo("in"), timeout=5) == b'"in"'
    with pytest.raises(HostError, match="not for a peer of kind admin"):
        await site.pool(site.admin()).call(rig.address, "members.only", NOTHING, timeout=5)


async def test_a_frame_over_the_bound_ends_the_connection_not_the_host(site: Site) -> None:
    rig = await site.rig(max_control_frame=10_000)
    pool = site.pool()
    with pytest.raises(RemoteHostError, match="lost before it answered"):
        await pool.call(rig.address, "echo", echo("x" * 20_000), timeout=5)
    assert await pool.call(rig.address, "echo", echo("x" * 9_000), timeout=5)


async def test_a_peer_that_does_not_read_its_answers_stops_being_served(site: Site) -> None:
    rig = await site.rig()
    served = 0
    async with RawLink.open(rig, site.member()) as link:
        link.stop_reading()
        frame = b'{"jsonrpc":"2.0","method":"count","id":%d,"params":{"value":"' + b"x" * 1_000_000 + b'"}}'
        for number in range(64):
            link.send(frame % number)
        served = await settled(lambda: rig.served)
        assert served < 40  # what sockets and one buffer hold; the rest waits at the peer
        link.channel.release_reading()
        for _ in range(64):
            await link.next()
        assert rig.served == 64
