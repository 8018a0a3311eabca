"""Paglets that offer services, for the tests."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.runtime_values import ServiceScope
from paglets.services.contracts import EmptyPayload, ServiceContract, ServiceOperation

if TYPE_CHECKING:
    from paglets.core.events import CreationEvent
    from paglets.core.messages import Message


@dataclass
class AddRequest:
    a: int = 0
    b: int = 0


@dataclass
class Sum:
    total: int = 0
    calls: int = 0
    pid: int = 0


ADD = ServiceOperation("add", AddRequest, Sum)
PING = ServiceOperation("ping")
CALCULATOR = ServiceContract("calculator", (ADD, PING))


@dataclass
class CalculatorState(PagletState):
    scope: str = "mesh"
    calls: int = 0


class Calculator(Paglet[CalculatorState]):
    """Offers a contract when it is created."""

    State = CalculatorState

    def on_creation(self, event: CreationEvent) -> None:
        self.advertise_contract(CALCULATOR, scope=ServiceScope(self.state.scope))

    def add(self, request: AddRequest) -> Sum:
        self.state.calls += 1
        return Sum(request.a + request.b, self.state.calls, os.getpid())

    def ping(self, _request: EmptyPayload) -> EmptyPayload:
        return EmptyPayload()

    def handle_message(self, message: Message) -> Any:
        return CALCULATOR.route(message, {ADD: self.add, PING: self.ping}, default=self.other)

    def other(self, message: Message) -> Any:
        if message.kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.not_handled()


@dataclass
class UserState(PagletState):
    notes: list[str] = field(default_factory=list[str])


class User(Paglet[UserState]):
    """Does with services what a message asks for."""

    State = UserState

    def handle_message(self, message: Message) -> Any:
        args = dict(message.args)
        scope = ServiceScope(args.pop("scope", "local"))
        match message.kind:
            case "advertise":
                return self.advertise_service(scope=scope, **args).to_wire()
            case "advertise-for":
                return self.context.advertise_service(scope=scope, **args).to_wire()
            case "unadvertise":
                return [record.to_wire() for record in self.unadvertise_service(**args)]
            case "lookup":
                ref = self.lookup_service(scope=scope, **args)
                return None if ref is None else ref.to_wire()
            case "lookup-all":
                return [record.to_wire() for record in self.lookup_services(scope=scope, **args)]
            case "add":
                return self.require_contract(CALCULATOR, scope=scope).call(ADD, AddRequest(**args)).total
            case "contracts":
                return [each.record.host_name for each in self.lookup_contracts(CALCULATOR, scope=scope)]
            case _:
                return self.not_handled()
