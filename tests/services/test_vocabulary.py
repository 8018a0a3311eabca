"""Operations, contracts, records and the registry, without a host."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import (
    HostError,
    PagletInactiveError,
    SerializationError,
    ServiceContractError,
    ServiceNotFoundError,
)
from paglets.core.messages import Message
from paglets.core.references import PagletProxyRef
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.services.contracts import (
    CONTRACT_METADATA_KEY,
    EmptyPayload,
    ServiceContract,
    ServiceHandle,
    ServiceOperation,
)
from paglets.services.records import ServiceRecord
from paglets.services.registry import ServiceRegistry
from paglets.services.resident import (
    DEFAULT_RESIDENT_IDLE_TIMEOUT_SECONDS,
    DEFAULT_SERVICE_LEASE_TTL_SECONDS,
    ResidentServiceSpec,
    ServiceLease,
)
from paglets.testing.clock import Clock
from tests.services import typed_use
from tests.services.typed_use import ASK, HEAR, NOD, ORACLE, TELL, Oracle, Question, Verdict


@dataclass
class Everything:
    text: str = ""
    number: int = 0
    real: float = 0.0
    flag: bool = False
    raw: bytes = b""
    items: list[int] = field(default_factory=list[int])
    names: dict[str, str] = field(default_factory=dict[str, str])


MIRROR = ServiceOperation("mirror", Everything, Everything)

ANYTHING: dict[str, Any] = {"verdict": Verdict(), "scope": "mesh", "message": Message("x"), "names": ("nod",)}
"""What a program without types may hand over."""

everything = st.builds(
    Everything,
    text=st.text(),
    number=st.integers(),
    real=st.floats(allow_nan=False, allow_infinity=False),
    flag=st.booleans(),
    raw=st.binary(),
    items=st.lists(st.integers()),
    names=st.dictionaries(st.text(), st.text()),
)


@given(everything)
def test_requests_and_replies_come_back_as_they_are(value: Everything) -> None:
    message = MIRROR.to_message(value)
    assert message.kind == "mirror"
    assert MIRROR.decode_request(message) == value
    assert MIRROR.decode_reply(MIRROR.encode_reply(value)) == value
    contract = ServiceContract("m", (MIRROR,))
    assert MIRROR.decode_reply(contract.route(message, {MIRROR: lambda given: given})) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values) | json_values)
def test_what_does_not_fit_is_a_contract_error(payload: Any) -> None:
    try:
        decoded = ASK.decode_reply(payload)
    except ServiceContractError:
        return
    assert decoded.yes in {True, False}


def test_a_request_that_was_queued_has_no_reply_yet() -> None:
    queued = {"queued": True, "message_id": "1f"}
    with pytest.raises(PagletInactiveError, match="no reply yet"):
        ServiceOperation("all", Everything, Everything).decode_reply(queued)


def test_nothing_stands_for_the_defaults() -> None:
    assert MIRROR.encode_request() == MIRROR.encode_request(Everything())
    assert NOD.to_message().args == {}
    assert HEAR.decode_reply({}) == Verdict()
    with pytest.raises(ServiceContractError, match="without a default"):
        ASK.to_message()


def test_a_value_of_another_type_is_no_request() -> None:
    with pytest.raises(ServiceContractError, match="is a Question, not a Verdict"):
        ASK.encode_request(ANYTHING["verdict"])
    with pytest.raises(ServiceContractError, match="is a Verdict, not a dict"):
        ORACLE.route(Message("ask", {"text": "?"}), {ASK: lambda _question: {"yes": True}})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ServiceOperation(""), "needs a name"),
        (lambda: ServiceOperation("x", int), "no dataclass"),
        (lambda: ServiceOperation("x", reply_type=ANYTHING["message"]), "no dataclass"),
        (lambda: ServiceContract("", (NOD,)), "needs a name"),
        (lambda: ServiceContract("c", (NOD,), version=""), "needs a version"),
        (lambda: ServiceContract("c", ()), "no operations"),
        (lambda: ServiceContract("c", (NOD, ServiceOperation("nod", Question))), "twice"),
        (lambda: ServiceContract("c", ANYTHING["names"]), "not of 'nod'"),
        (lambda: ORACLE.require_operation("shout"), "has: ask, tell, hear, nod"),
        (lambda: ORACLE.require_operation(ServiceOperation("ask")), "no operation"),
        (lambda: ORACLE.advertise_metadata({CONTRACT_METADATA_KEY: 1}), "reserved"),
        (lambda: ORACLE.route(Message("shout"), {NOD: lambda _: None}), "does not answer 'shout'"),
        (lambda: ORACLE.route(Message("ask"), {NOD: lambda _: None}), "does not answer 'ask'"),
        (lambda: ORACLE.route(Message("nod"), {ServiceOperation("other"): lambda _: None}), "no operation"),
        (lambda: ORACLE.route(Message("ask", {"text": 1}), {ASK: lambda _: Verdict()}), "text"),
        (lambda: ResidentServiceSpec(ANYTHING["scope"]), "needs a contract"),
    ],
    ids=[str(number) for number in range(16)],
)
def test_what_is_no_contract_is_refused(make: Any, says: str) -> None:
    with pytest.raises(ServiceContractError, match=says):
        make()


def test_a_local_payload_is_refused() -> None:
    @dataclass
    class Local:
        pass

    with pytest.raises(ServiceContractError, match="x"):
        ServiceOperation("x", Local, Local)


def test_contract_errors_are_host_errors() -> None:
    assert issubclass(ServiceNotFoundError, ServiceContractError)
    assert issubclass(ServiceContractError, HostError)


def _nothing(request: EmptyPayload) -> EmptyPayload:
    return request


def test_routing_knows_a_default() -> None:
    handlers = {NOD: _nothing}
    assert ORACLE.route(Message("nod"), handlers) == {}
    assert ORACLE.route(Message("shout"), handlers, default=None) is None
    assert ORACLE.route(Message("shout"), handlers, default=lambda: "nothing") == "nothing"
    assert ORACLE.route(Message("shout"), handlers, default=lambda message: message.kind) == "shout"


def test_a_provider_works_without_a_host() -> None:
    oracle = Oracle()
    reply = ASK.decode_reply(oracle.handle_message(ASK.to_message(Question("is it?"))))
    assert reply.yes
    assert oracle.handle_message(Message("shout")) is Oracle.not_handled()


# --- records -----------------------------------------------------------------------------------------------

records = st.builds(
    ServiceRecord,
    name=st.text(min_size=1),
    proxy=st.builds(PagletProxyRef, st.text(), st.text(min_size=1)),
    capabilities=st.lists(st.text()).map(tuple),
    metadata=st.dictionaries(st.text(), json_values),
    scope=st.sampled_from(ServiceScope),
    host_name=st.text(),
    host_url=st.text(),
    advertised_at=st.floats(0, 2**40),
    expires_at=st.none() | st.floats(0, 2**40),
)


@given(records)
def test_records_come_back_as_they_are(record: ServiceRecord) -> None:
    assert ServiceRecord.from_wire(record.to_wire()) == record


fields = st.sampled_from(["name", "proxy", "capabilities", "metadata", "scope", "expires_at"])


@given(st.dictionaries(fields, json_values))
def test_what_is_no_record_is_refused(payload: dict[str, Any]) -> None:
    with suppress(SerializationError):
        ServiceRecord.from_wire(payload)


def test_a_record_offers_a_contract_of_its_version_with_all_its_operations() -> None:
    proxy = PagletProxyRef("https://h:1", "p")
    offered = ServiceRecord("oracle", proxy, metadata=ORACLE.advertise_metadata({"colour": "blue"}))
    assert ORACLE.matches_record(offered)
    assert ServiceContract("oracle", (ASK,)).matches_record(offered)
    assert not ServiceContract("oracle", (ASK, TELL), version="2").matches_record(offered)
    assert not ServiceContract("oracle", (ServiceOperation("new"),)).matches_record(offered)
    assert not ServiceContract("delphi", (ASK,)).matches_record(offered)
    assert not ORACLE.matches_record(
        ServiceRecord("oracle", proxy, metadata={CONTRACT_METADATA_KEY: "oracle"})
    )
    assert offered.metadata["colour"] == "blue"


# --- registry ----------------------------------------------------------------------------------------------


names, agents = st.sampled_from("abc"), st.sampled_from(["p", "q", "r"])
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("offer"), names, agents, st.sampled_from([None, 1.0, 5.0]), st.sampled_from(ServiceScope)
        ),
        st.tuples(st.just("take back"), names, st.none() | agents),
        st.tuples(st.just("gone"), agents, st.sets(names)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 10.0])),
    ),
    max_size=30,
)


@given(steps)
def test_the_registry_is_a_table_of_what_stands(done: list[tuple[Any, ...]]) -> None:
    clock, model = Clock(1000.0), dict[tuple[str, str], tuple[float, ServiceScope]]()
    registry = ServiceRegistry(clock=clock)
    for step in done:
        match step:
            case ("offer", name, agent, ttl, scope):
                registry.advertise(
                    host_name="h",
                    host_url="u",
                    name=name,
                    proxy=PagletProxyRef("u", agent),
                    ttl=ttl,
                    scope=scope,
                )
                model[name, agent] = (clock() + (ttl or float("inf")), scope)
            case ("take back", name, agent):
                registry.unadvertise(name, agent)
                model = {
                    key: value
                    for key, value in model.items()
                    if key[0] != name or agent not in {None, key[1]}
                }
            case ("gone", agent, keep):
                registry.remove_agent(agent, keep=keep)
                model = {key: value for key, value in model.items() if key[1] != agent or key[0] in keep}
            case _:
                clock.advance(step[1])
        model = {key: value for key, value in model.items() if value[0] > clock()}
        found = {(r.name, r.proxy.agent_id) for r in registry.lookup_all()}
        assert found == set(model)
        wide = {(r.name, r.proxy.agent_id) for r in registry.lookup_all(scope=ServiceScope.MESH)}
        assert wide == {key for key, value in model.items() if value[1] is ServiceScope.MESH}
        for name in "abc":
            first = registry.lookup(name)
            assert (first is None) == (name not in {key[0] for key in model})


def test_the_registry_takes_members_of_enums_only() -> None:
    registry = ServiceRegistry()
    with pytest.raises(TypeError):
        registry.lookup("x", scope=ANYTHING["scope"])
    with pytest.raises(ServiceContractError):
        registry.advertise(host_name="h", host_url="u", name="", proxy=PagletProxyRef("u", "p"))


# --- residents and leases ----------------------------------------------------------------------------------


def test_a_resident_service_has_the_id_of_its_contract() -> None:
    spec = ResidentServiceSpec(ORACLE)
    assert (spec.provider_id, spec.lifecycle, spec.scope, spec.singleton) == (
        "service.oracle",
        ResidentLifecycle.LAZY,
        ServiceScope.LOCAL,
        True,
    )
    assert spec.idle_timeout == DEFAULT_RESIDENT_IDLE_TIMEOUT_SECONDS == 30.0
    assert ResidentServiceSpec(ORACLE, agent_id="me").provider_id == "me"
    for bad in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="idle_timeout"):
            ResidentServiceSpec(ORACLE, idle_timeout=bad)


def test_a_lease_is_released_once() -> None:
    released: list[int] = []
    handle = ServiceHandle(ORACLE, ServiceRecord("oracle", PagletProxyRef("u", "p")))
    lease = ServiceLease(
        handle, lease_id="1", host_url="u", expires_at=2.0**40, release=lambda: released.append(1)
    )
    assert not lease.expired
    with lease:
        lease.release()
    assert released == [1]
    assert lease.expired
    assert DEFAULT_SERVICE_LEASE_TTL_SECONDS == 60.0
    with pytest.raises(HostError, match="context or a client"):
        lease.call(ASK, Question("?"))


def test_the_typed_sample_is_a_program() -> None:
    assert typed_use.Pilgrim().state.asked == 0
