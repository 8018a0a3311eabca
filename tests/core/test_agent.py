from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from paglets.core import agent as agent_module
from paglets.core.agent import NOT_HANDLED, Paglet, PagletState, state_locked
from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import HostError, LifecycleError, NotHandledError
from paglets.core.events import CreationEvent, MobilityEvent
from paglets.core.messages import Message


@dataclass
class CounterState(PagletState):
    count: int = 0
    seen: list[str] = field(default_factory=list[str])


class Counter(Paglet[CounterState]):
    State = CounterState

    @state_locked
    def add(self, amount: int = 1) -> int:
        assert self.holds_lock()
        self.state.count += amount
        self.notify_all_state_changed()
        return self.state.count

    def handle_message(self, message: Message) -> Any:
        if message.same_kind("add"):
            return self.add(message.get_arg("amount", 1))
        return self.not_handled()


def test_a_paglet_works_without_a_host():
    counter = Counter()
    assert counter.handle_message(Message("add", {"amount": 2})) == 2
    assert counter.handle_message(Message("what")) is NOT_HANDLED
    counter.on_creation(CreationEvent(counter.agent_id, "h", "u"))
    counter.on_dispatch_failed(MobilityEvent(counter.agent_id, "h", "u"))
    counter.run()
    assert counter.add.__name__ == "add"


def test_ids_are_fresh_or_given():
    assert Counter().agent_id != Counter().agent_id
    assert Counter(agent_id="me").agent_id == "me"
    state = CounterState(3)
    assert Counter(state).state is state


def test_without_a_host_there_is_no_context():
    for call in (lambda: Counter().context, lambda: Counter().dispatch("x"), lambda: Counter().checkpoint()):
        with pytest.raises(HostError, match="on no host"):
            call()


def test_the_state_must_be_a_dataclass():
    class Stateless(Paglet[Any]):
        pass

    class Wrong(Paglet[Any]):
        State: ClassVar[type[Any]] = dict

    for cls in (Stateless, Wrong):
        with pytest.raises(HostError, match=r"State"):
            cls.state_class()
        with pytest.raises(HostError, match=r"State"):
            cls()
    assert Counter.state_class() is CounterState


def test_a_state_of_another_class_is_refused():
    @dataclass
    class Needy:
        x: int

    class NeedyPaglet(Paglet[Needy]):
        State = Needy

    with pytest.raises(HostError, match="needs a state"):
        NeedyPaglet()
    assert NeedyPaglet(Needy(1)).state.x == 1
    wrong: Any = CounterState()
    with pytest.raises(HostError, match="must be of"):
        NeedyPaglet(wrong)


def test_an_unhandled_message_names_class_and_kind():
    class Mute(Paglet[CounterState]):
        State = CounterState

    with pytest.raises(NotHandledError, match=r"Mute.*'hello'"):
        Mute().handle_message(Message("hello"))


def test_the_lock_is_re_entrant_and_tells_its_holder():
    counter = Counter()
    assert not counter.holds_lock()
    with counter.locked(), counter.locked_state() as state:
        assert state is counter.state
        assert counter.holds_lock()
        counter.add()
        seen: list[bool] = []
        other = threading.Thread(target=lambda: seen.append(counter.holds_lock()))
        other.start()
        other.join()
        assert seen == [False]
        assert counter.holds_lock()
    assert not counter.holds_lock()


def test_wait_state_wakes_when_the_state_has_changed():
    counter = Counter()
    ready = threading.Event()

    def work() -> None:
        ready.wait(5)
        for _ in range(3):
            counter.add()

    thread = threading.Thread(target=work)
    thread.start()
    with counter.locked():  # waiting frees the lock, however deep it is held
        ready.set()
        assert counter.wait_state(lambda: counter.state.count == 3, timeout=5)
        assert counter.holds_lock()
    thread.join()
    assert counter.wait_state(lambda state: state.count == 3, timeout=0)
    assert not counter.wait_state(lambda: counter.state.count == 4, timeout=0.01)
    assert not counter.holds_lock()


@pytest.mark.parametrize("blocking", [True, False])
def test_waits_end_when_the_paglet_has_left(blocking: bool):
    counter, waits, told = Counter(), threading.Event(), list[str]()

    def wait() -> None:
        with pytest.raises(LifecycleError) as caught:
            counter.wait_state(lambda _: waits.set(), timeout=5)
        told.append(str(caught.value))

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(5)
    while not counter.end_waits("it has left", blocking=blocking):
        pass  # the other one is just about to wait
    thread.join()
    assert told == ["it has left"]
    with pytest.raises(LifecycleError, match="it has left"):
        counter.wait_state(lambda: False, timeout=5)
    assert not counter.holds_lock()


def test_waits_are_not_ended_at_once_while_somebody_holds_the_lock():
    counter, held, done = Counter(), threading.Event(), threading.Event()

    def hold() -> None:
        with counter.locked():
            held.set()
            done.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(5)
    assert not counter.end_waits("it has left", blocking=False)
    done.set()
    thread.join()
    assert not counter.wait_state(lambda: False, timeout=0.01), "nothing was ended"


def test_a_predicate_that_raises_leaves_the_lock_free():
    counter = Counter()

    def fail() -> bool:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        counter.wait_state(fail)
    assert not counter.holds_lock()


def test_the_request_decides_how_it_is_parked_unless_the_class_does():
    policy = DeactivationPolicy(activate_on_startup=True)
    assert Counter().deactivation_policy(DeactivationRequest(policy=policy)) is policy
    assert Counter().deactivation_policy(DeactivationRequest()) == DeactivationPolicy()


def test_the_module_offers_what_authors_import_from_it():
    for name in (
        "ACTIVE",
        "INACTIVE",
        "PagletState",
        "NOT_HANDLED",
        "state_locked",
        "PagletContext",
        "CheckpointPolicy",
        "RestartPolicy",
    ):
        assert hasattr(agent_module, name)
    assert (Paglet.ACTIVE, Paglet.INACTIVE, Paglet.MAILBOX_WORKERS) == (1, 2, 4)


def test_authors_may_use_the_obvious_private_names():
    class Own(Paglet[CounterState]):
        State = CounterState

        def __init__(self, state: CounterState | None = None, *, agent_id: str | None = None) -> None:
            super().__init__(state, agent_id=agent_id)
            self._lock = "mine"
            self._context = "mine too"

    own = Own()
    with own.locked():
        assert own.holds_lock()


def test_importing_the_agent_module_is_light():
    code = (
        "import sys, paglets.core.agent as _\n"
        "heavy = {'asyncio', 'ssl', 'websockets', 'lmdb', 'cryptography', 'psutil', 'socket'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "print([m for m in sys.modules if m.startswith('paglets.') and not m.startswith('paglets.core')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["[]", "[]"]
