"""Offers of services: made by paglets, found by others, gone with the life that made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.context import PagletContext
from paglets.core.errors import (
    ForbiddenError,
    HostError,
    InvalidAgentError,
    PagletCrashedError,
    PagletError,
    SerializationError,
    ServiceContractError,
    ServiceNotFoundError,
)
from paglets.core.messages import Message
from paglets.core.runtime_values import ServiceScope
from paglets.runtime.services import desk
from paglets.services.contracts import CONTRACT_METADATA_KEY, ServiceContract, ServiceHandle, ServiceOperation
from paglets.services.resident import RESIDENT_SERVICE_METADATA_KEY
from tests.host.support import ask, eventually
from tests.services.agents import ADD, CALCULATOR, PING, AddRequest, Calculator, CalculatorState, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host

MESH = ServiceScope.MESH


@pytest.fixture(scope="module")
def user(a: Host) -> PagletProxy:
    return a.create(User)


@pytest.fixture(scope="module")
def afar(b: Host) -> PagletProxy:
    return b.create(User)


@pytest.fixture
def calculator(a: Host) -> Iterator[PagletProxy]:
    proxy = a.create(Calculator)
    yield proxy
    for host in (a,):
        if host.get_proxy(proxy.agent_id, include_inactive=True) is not None:
            host.dispose(proxy.agent_id)


def _names(host: Host, scope: ServiceScope = ServiceScope.LOCAL) -> list[str]:
    return [record.name for record in host.lookup_services(scope=scope)]


def test_a_service_is_offered_found_and_taken_back(a: Host, user: PagletProxy) -> None:
    offered = ask(user, "advertise", name="echo", capabilities=["say"], metadata={"x": [1, None, "ä"]})
    assert offered["host_url"] == a.address
    assert offered["metadata"] == {"x": [1, None, "ä"]}
    assert ask(user, "lookup", name="echo") == {"host_url": a.address, "agent_id": user.agent_id}
    assert ask(user, "lookup", name="echo", capability="say") is not None
    assert ask(user, "lookup", name="echo", capability="shout") is None
    assert ask(user, "lookup", name="ech") is None
    ref = a.lookup_service("echo")
    assert ref is not None
    assert ref.agent_id == user.agent_id
    assert [record["name"] for record in ask(user, "unadvertise", name="echo")] == ["echo"]
    assert ask(user, "unadvertise", name="echo") == []
    assert a.lookup_service("echo") is None
    kinds = [event.kind for event in a.list_events(limit=1000) if event.service_name == "echo"]
    assert kinds == ["service-advertise", "service-remove"]


def test_only_what_is_for_the_mesh_is_found_from_other_hosts(
    a: Host, b: Host, user: PagletProxy, afar: PagletProxy
) -> None:
    ask(user, "advertise", name="near")
    ask(user, "advertise", name="wide", scope="mesh")
    assert ask(afar, "lookup", name="near", scope="mesh") is None
    assert ask(afar, "lookup", name="wide") is None
    assert ask(afar, "lookup", name="wide", scope="mesh") == {
        "host_url": a.address,
        "agent_id": user.agent_id,
    }
    assert [record.host_name for record in b.lookup_services("wide", scope=MESH)] == ["a"]
    assert set(_names(a, MESH)) >= {"near", "wide"}
    ask(user, "unadvertise", name="near")
    ask(user, "unadvertise", name="wide")
    assert b.lookup_service("wide", scope=MESH) is None


def test_those_of_the_own_host_come_first(a: Host, b: Host) -> None:
    far, near = a.create(Calculator), b.create(Calculator)
    contexts = {"a": PagletContext(a), "b": PagletContext(b)}
    assert [each.record.host_name for each in contexts["b"].lookup_contracts(CALCULATOR, scope=MESH)] == [
        "b",
        "a",
    ]
    assert [each.record.host_name for each in contexts["a"].lookup_contracts(CALCULATOR, scope=MESH)] == [
        "a",
        "b",
    ]
    assert contexts["b"].require_contract(CALCULATOR, scope=MESH).record.host_name == "b"
    near.dispose()
    assert contexts["b"].require_contract(CALCULATOR, scope=MESH).record.host_name == "a"
    far.dispose()


@pytest.mark.usefixtures("calculator")
def test_a_contract_is_called_from_another_host(b: Host, afar: PagletProxy) -> None:
    assert ask(afar, "add", a=2, b=3, scope="mesh") == 5
    handle = PagletContext(b).require_contract(CALCULATOR, operation=ADD, scope=MESH)
    assert handle.call(ADD, AddRequest(4, 5)).total == 9
    handle.call(PING)
    handle.send_oneway(PING)
    record = b.lookup_services("calculator", scope=MESH)[0]
    assert record.capabilities == ("add", "ping")
    assert record.metadata[CONTRACT_METADATA_KEY] == CALCULATOR.metadata()
    assert ServiceHandle(CALCULATOR, record, b.client).call(ADD, AddRequest(1, 1)).total == 2


@pytest.mark.usefixtures("calculator")
def test_a_contract_of_another_version_or_with_more_operations_is_another(a: Host) -> None:
    context = PagletContext(a)
    assert context.lookup_contract(ServiceContract("calculator", (ADD,))) is not None
    assert context.lookup_contract(ServiceContract("calculator", (ADD,), version="2")) is None
    assert context.lookup_contract(ServiceContract("calculator", (ADD, ServiceOperation("subtract")))) is None
    with pytest.raises(ServiceContractError, match="has no operation"):
        context.lookup_contract(ServiceContract("calculator", (ADD,)), operation=PING)


def test_what_nobody_offers_is_required_in_vain(a: Host, afar: PagletProxy) -> None:
    missing = ServiceContract("missing", (PING,))
    with pytest.raises(ServiceNotFoundError, match=r"'missing'.*host a .*scope local.*MESH"):
        PagletContext(a).require_contract(missing)
    with pytest.raises(ServiceNotFoundError, match=r"'missing'.*mesh.*start a provider"):
        PagletContext(a).require_contract(missing, scope=MESH)
    with pytest.raises(ServiceNotFoundError, match="calculator"):
        ask(afar, "add", scope="mesh")


def _dispose(_a: Host, _b: Host, proxy: PagletProxy) -> None:
    proxy.dispose()


def _park(_a: Host, _b: Host, proxy: PagletProxy) -> None:
    proxy.deactivate()


def _move(_a: Host, b: Host, proxy: PagletProxy) -> None:
    proxy.dispatch(b.address)
    proxy.dispose()


def _retract(a: Host, b: Host, proxy: PagletProxy) -> None:
    b.retract(a.address, proxy.agent_id)
    b.dispose(proxy.agent_id)


def _move_here(a: Host, _b: Host, proxy: PagletProxy) -> None:
    proxy.dispatch(a.address)


def _crash(_a: Host, _b: Host, proxy: PagletProxy) -> None:
    with pytest.raises(PagletCrashedError):
        proxy.send(Message("crash"))


@pytest.mark.parametrize(
    "end", [_dispose, _park, _move, _retract, _move_here, _crash], ids=lambda end: end.__name__.strip("_")
)
def test_offers_are_gone_with_the_life_that_made_them(
    a: Host, b: Host, calculator: PagletProxy, end: Callable[[Host, Host, PagletProxy], None]
) -> None:
    assert b.lookup_service("calculator", scope=MESH) is not None
    end(a, b, calculator)
    assert b.lookup_services("calculator", scope=MESH) == []
    assert a.lookup_services("calculator") == []
    ends = [
        e
        for e in a.list_events(limit=1000)
        if e.kind == "service-remove" and e.agent_id == calculator.agent_id
    ]
    assert [event.service_name for event in ends] == ["calculator"]


def test_a_hook_that_fails_leaves_no_offer(a: Host) -> None:
    with pytest.raises(HostError):
        a.create(Calculator, CalculatorState(scope="nowhere"))
    assert a.lookup_services("calculator") == []


def test_offers_do_not_outlive_their_time(a: Host, b: Host, user: PagletProxy) -> None:
    offered = ask(user, "advertise", name="brief", scope="mesh", ttl=0.5)
    assert offered["expires_at"] == pytest.approx(offered["advertised_at"] + 0.5)
    assert b.lookup_service("brief", scope=MESH) is not None
    eventually(lambda: b.lookup_service("brief", scope=MESH) is None)
    eventually(
        lambda: (
            [e.data.get("why") for e in a.list_events(limit=1000) if e.service_name == "brief"]
            == [None, "expired"]
        )
    )
    ask(user, "advertise", name="brief", ttl=0.2)
    ask(user, "advertise", name="brief", ttl=60.0)
    ask(user, "advertise", name="brief")
    assert a.lookup_services("brief")[0].expires_at is None
    ask(user, "unadvertise", name="brief")


def test_a_renewal_is_no_news(a: Host, user: PagletProxy) -> None:
    for _ in range(3):
        ask(user, "advertise", name="steady", ttl=60.0)
    ask(user, "advertise", name="steady", ttl=60.0, scope="mesh")
    kinds = [event.kind for event in a.list_events(limit=1000) if event.service_name == "steady"]
    assert kinds == ["service-advertise"] * 2
    assert len(a.lookup_services("steady")) == 1
    ask(user, "unadvertise", name="steady")


def test_a_paglet_offers_for_itself_only(
    a: Host, b: Host, user: PagletProxy, calculator: PagletProxy
) -> None:
    with pytest.raises(ForbiddenError, match="for itself only"):
        ask(user, "advertise-for", name="fake", agent_id=calculator.agent_id)
    assert a.lookup_service("fake") is None
    record = a.advertise_service(calculator.agent_id, "given", scope=MESH)
    assert record.proxy.agent_id == calculator.agent_id
    assert b.lookup_service("given", scope=MESH) is not None
    assert len(a.unadvertise_service(calculator.agent_id, "given")) == 1
    with pytest.raises(InvalidAgentError):
        a.advertise_service("nobody", "given")
    calculator.deactivate()
    with pytest.raises(InvalidAgentError, match="no active paglet"):
        a.advertise_service(calculator.agent_id, "given")


BAD: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"name": ""}, ServiceContractError),
    ({"name": "x", "metadata": {RESIDENT_SERVICE_METADATA_KEY: {}}}, ServiceContractError),
    ({"name": "x", "metadata": {"text": "y" * desk.MAX_OFFER_BYTES}}, ServiceContractError),
    ({"name": "x" * 600}, SerializationError),
    ({"name": "x", "ttl": 0}, HostError),
    ({"name": "x", "ttl": -1.0}, HostError),
    ({"name": "x", "capabilities": ["c"] * 257}, SerializationError),
    ({"name": "x", "capabilities": "abc"}, HostError),
]


@pytest.mark.parametrize(("terms", "error"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_bad_offers_are_refused(user: PagletProxy, terms: dict[str, Any], error: type[PagletError]) -> None:
    with pytest.raises(error):
        ask(user, "advertise", **terms)
    assert ask(user, "lookup-all", name="x") == []


def test_a_paglet_offers_a_bounded_number_of_services(a: Host) -> None:
    greedy = a.create(User)
    for number in range(desk.MAX_OFFERS):
        ask(greedy, "advertise", name=f"s{number}")
    with pytest.raises(HostError, match="offers 64 services already"):
        ask(greedy, "advertise", name="one-more")
    ask(greedy, "advertise", name="s0", capabilities=["renewed"])
    greedy.dispose()
    assert a.lookup_services() == [] or all(r.proxy.agent_id != greedy.agent_id for r in a.lookup_services())


@pytest.mark.usefixtures("calculator")
def test_services_are_read_over_http(a: Host, b: Host, user: PagletProxy) -> None:
    ask(user, "advertise", name="local-only", capabilities=["one"])
    client = b.client
    everything = client.get_json(a.address + "/services")
    assert {each["name"] for each in everything["services"]} == {"calculator", "local-only"}
    assert everything.keys() == {"services"}
    wide = client.get_json(a.address + "/services?scope=mesh")["services"]
    assert [each["name"] for each in wide] == ["calculator"]
    assert [s["name"] for s in client.get_json(a.address + "/services?capability=one")["services"]] == [
        "local-only"
    ]
    assert client.get_json(a.address + "/services?name=none")["services"] == []
    first = client.get_json(a.address + "/services?limit=1")
    second = client.get_json(a.address + f"/services?limit=1&cursor={first['cursor'].replace(' ', '%20')}")
    assert {first["services"][0]["name"], second["services"][0]["name"]} == {"calculator", "local-only"}
    with pytest.raises(HostError, match="scope must be one of"):
        client.get_json(a.address + "/services?scope=galaxy")
    ask(user, "unadvertise", name="local-only")


def test_a_host_that_is_away_is_passed_over(start: Callable[..., Host]) -> None:
    near = start("near")
    far = start("far", peers=[near.address])
    near.mesh.wait_for_host("far", timeout=10.0)
    far.create(Calculator)
    assert near.lookup_service("calculator", scope=MESH) is not None
    far.stop()
    assert near.lookup_services("calculator", scope=MESH) == []


def test_operations_are_called_by_name_too(a: Host, calculator: PagletProxy) -> None:
    handle = ServiceHandle(CALCULATOR, a.lookup_services("calculator")[0], a)
    assert handle.call("add", AddRequest(2, 3)).total == handle.call(ADD, AddRequest(2, 3)).total == 5
    handle.send_oneway("add", AddRequest(1, 1))
    for call in (handle.call, handle.send_oneway):
        with pytest.raises(ServiceContractError, match="no operation 'sing'"):
            call("sing")
