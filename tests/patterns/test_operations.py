from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.agent import NOT_HANDLED
from paglets.core.errors import NotHandledError, ServiceContractError
from paglets.core.messages import Message
from paglets.patterns.operations import OperationClient, OperationHandlers, OperationPaglet
from paglets.services.operations import ServiceOperation
from tests.host.support import ask, eventually
from tests.patterns.agents import ADD, COUNT, MISSING, Addends, Adder, AdderState, Sum

if TYPE_CHECKING:
    from paglets.runtime.host import Host


def test_operations_are_answered_without_a_host() -> None:
    adder = Adder()
    assert adder.handle_message(ADD.to_message(Addends([1, 2]))) == {"total": 3}
    assert adder.handle_message(COUNT.to_message()) == {"total": 1}


def test_what_is_no_operation_falls_back() -> None:
    adder = Adder()
    assert adder.handle_message(Message("greet")) == "hello"
    assert adder.handle_message(Message("unknown")) is NOT_HANDLED
    assert adder.handle_message(MISSING.to_message()) is NOT_HANDLED


def test_without_operations_everything_falls_back() -> None:
    class Greeter(Adder):
        Operations = ()

    assert Greeter().handle_message(Message("greet")) == "hello"
    assert Greeter().handle_message(ADD.to_message(Addends())) is NOT_HANDLED


def test_wrong_types_are_refused() -> None:
    class Odd(Adder):
        def operation_handlers(self) -> OperationHandlers:
            return {ADD: lambda _: 5}

    with pytest.raises(ServiceContractError, match="numbers"):
        Adder().handle_message(Message("add", {"numbers": "many"}))
    with pytest.raises(ServiceContractError, match="a reply of operation 'add' is a Sum, not a int"):
        Odd().handle_message(ADD.to_message())


def test_a_handler_for_what_is_not_offered_is_a_mistake() -> None:
    class Generous(OperationPaglet[AdderState]):
        State = AdderState
        Operations = (COUNT,)

        def operation_handlers(self) -> OperationHandlers:
            return {ADD: lambda _: Sum()}

    with pytest.raises(ServiceContractError, match="'add'"):
        Generous().handle_message(COUNT.to_message())


def test_calls_are_typed_on_both_sides(a: Host) -> None:
    proxy = a.create(Adder)
    client = OperationClient(proxy)
    total: Sum = client.call(ADD, Addends([1, 2, 3]))
    assert total == Sum(6)
    client.send_oneway(ADD, Addends([1]))
    assert eventually(lambda: client.call(COUNT, timeout=5.0).total == 2)
    assert ask(proxy, "greet") == "hello"
    with pytest.raises(NotHandledError):
        client.call(MISSING)
    wrong: Any = Sum(3)
    with pytest.raises(ServiceContractError, match="a request of operation 'add' is a Addends"):
        client.call(ADD, wrong)
    with pytest.raises(ServiceContractError, match="the reply of operation 'greet'"):
        client.call(ServiceOperation("greet", reply_type=Sum))
    proxy.deactivate()
    assert client.call(ADD, Addends([2])) == Sum(2)
