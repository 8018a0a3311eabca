"""Typed use of services, as an author writes it: pyright has to follow it without a cast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

from paglets.core.agent import Paglet, PagletState
from paglets.core.references import PagletProxyRef
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.services.contracts import EmptyPayload, ServiceContract, ServiceHandle, ServiceOperation
from paglets.services.resident import ResidentServiceSpec, ServiceLease

if TYPE_CHECKING:
    from paglets.core.messages import Message


@dataclass
class Question:
    text: str


@dataclass
class Verdict:
    yes: bool = False


ASK = ServiceOperation("ask", Question, Verdict)
TELL = ServiceOperation("tell", Question)
HEAR = ServiceOperation("hear", reply_type=Verdict)
NOD = ServiceOperation("nod")
ORACLE = ServiceContract("oracle", (ASK, TELL, HEAR, NOD))

assert_type(ASK, ServiceOperation[Question, Verdict])
assert_type(TELL, ServiceOperation[Question, EmptyPayload])
assert_type(HEAR, ServiceOperation[EmptyPayload, Verdict])
assert_type(NOD, ServiceOperation[EmptyPayload, EmptyPayload])


@dataclass
class OracleState(PagletState):
    asked: int = 0


class Oracle(Paglet[OracleState]):
    State = OracleState
    RESIDENT_SERVICES = (
        ResidentServiceSpec(
            ORACLE, scope=ServiceScope.MESH, lifecycle=ResidentLifecycle.LAZY, state={"asked": 0}
        ),
    )

    def ask(self, question: Question) -> Verdict:
        with self.locked_state() as state:
            state.asked += 1
        return Verdict(question.text.endswith("?"))

    def handle_message(self, message: Message) -> Any:
        return ORACLE.route(
            message, {ASK: self.ask, NOD: lambda _nothing: EmptyPayload()}, default=self.not_handled
        )


class Pilgrim(Paglet[OracleState]):
    State = OracleState

    def run(self) -> None:
        handle = self.lookup_contract(ORACLE, scope=ServiceScope.MESH)
        if handle is not None:
            assert_type(handle, ServiceHandle)
            assert_type(handle.call(ASK, Question("well?")), Verdict)
            assert_type(handle.call(HEAR), Verdict)
            handle.send_oneway(TELL, Question("so be it"))
        with self.lease_contract(ORACLE, operation=ASK, ttl=5.0) as lease:
            assert_type(lease, ServiceLease)
            self.state.asked += int(lease.call(ASK, Question("again?")).yes)
        assert_type(self.lookup_service("oracle"), PagletProxyRef | None)
        for record in self.lookup_services(scope=ServiceScope.MESH):
            assert_type(record.proxy, PagletProxyRef)
