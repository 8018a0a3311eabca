"""Paglets for the tests of the host. A module of its own, because their processes import it."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core import errors
from paglets.core.agent import NOT_HANDLED, Paglet, PagletState
from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.messages import Message
from paglets.core.policies import RestartPolicy
from paglets.remote.references import PagletProxyRef

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent, PersistencyEvent


@dataclass
class Notes(PagletState):
    """What a paglet has lived through, in order."""

    log: list[str] = field(default_factory=list[str])
    count: int = 0
    init: Any = None


class Recorder(Paglet[Notes]):
    """Writes down every hook; answers ``log``, ``add`` (by), ``where`` and ``echo``."""

    State = Notes

    def note(self, text: str) -> None:
        self.state.log.append(text)

    def on_creation(self, event: CreationEvent) -> None:
        self.state.init = event.init
        self.note(f"creation@{event.host_name}")

    def on_dispatching(self, event: MobilityEvent) -> None:
        self.note(f"dispatching@{event.host_name}:{event.source_host_name}->{event.target_host_name}")

    def on_reverting(self, event: MobilityEvent) -> None:
        self.note(f"reverting@{event.host_name}:{event.reason}")

    def on_arrival(self, event: MobilityEvent) -> None:
        self.note(
            f"arrival@{event.host_name}:{event.source_host_name}->{event.target_host_name}:{event.reason}"
        )

    def on_cloning(self, event: CloneEvent) -> None:
        self.note(f"cloning@{event.host_name}")

    def on_clone(self, event: CloneEvent) -> None:
        self.note(
            f"clone@{event.host_name}:{event.source_agent_id == self.agent_id}:{event.clone_agent_id == self.agent_id}"
        )

    def on_cloned(self, event: CloneEvent) -> None:
        self.note(f"cloned@{event.host_name}")

    def on_deactivating(self, event: PersistencyEvent) -> None:
        self.note(f"deactivating@{event.host_name}:{event.reason}")

    def on_activation(self, event: PersistencyEvent) -> None:
        self.note(f"activation@{event.host_name}:{event.reason}")

    def on_dispatch_failed(self, event: MobilityEvent) -> None:
        self.note(f"dispatch-failed@{event.host_name}:{event.target_host_name}")

    def on_disposing(self, event: PersistencyEvent) -> None:
        self.note("disposing")

    def run(self) -> None:
        with self.locked_state() as state:
            state.log.append(f"run@{self.context.name}")
        self.notify_all_state_changed()

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "log":
                # run() is beside; its note belongs to what is asked for.
                self.wait_state(
                    lambda state: state.log[-1].startswith("run@"), message.get_arg("within", 5.0)
                )
                return self.state.log
            case "peek":
                return self.state.log
            case "add":
                self.state.count += message.get_arg("by", 1)
                return self.state.count
            case "where":
                return [self.context.name, self.context.address, os.getpid()]
            case "echo":
                return message.to_wire()
            case _:
                return self.own(message)

    def own(self, message: Message) -> Any:
        return NOT_HANDLED


@dataclass
class Strict:
    """A state that has no defaults, and is not marked as one."""

    name: str
    size: int


class Plain(Paglet[Strict]):
    """Handles nothing."""

    State = Strict


@dataclass
class NoState:
    """No state of any paglet."""


class Stateless(Paglet[Any]):
    """An author's mistake: no ``State``."""


class Undecorated(Paglet[Any]):
    """An author's mistake: a ``State`` that is no dataclass."""

    State = dict


class Outer:
    """A place for nested classes."""

    @dataclass
    class Inner(PagletState):
        value: int = 0

    class Nested(Paglet[Inner]):
        def handle_message(self, message: Message) -> Any:
            return self.state.value

    Nested.State = Inner


class BadBirth(Recorder):
    """Its creation hook does what ``init`` says."""

    def on_creation(self, event: CreationEvent) -> None:
        match event.init:
            case "value":
                raise ValueError("no good")
            case "exit":
                sys.exit(3)
            case "die":
                os._exit(4)
            case "busy":
                self.state.log.append("busy")
                time.sleep(0.3)
            case "bad-state":
                self.state.init = object()
            case _:
                raise PermissionError("an init that is not known")


class BadInit(Paglet[Notes]):
    """Its constructor raises."""

    State = Notes

    def __init__(self, state: Notes | None = None, *, agent_id: str | None = None) -> None:
        super().__init__(state, agent_id=agent_id)
        raise RuntimeError("cannot be made")


class OldStyle(Paglet[Notes]):
    """Its constructor forgets the id."""

    State = Notes

    def __init__(self, state: Notes | None = None, **_: Any) -> None:
        super().__init__(state)


@dataclass
class MoreNotes(Notes):
    """A state of ``Recorder``, with more in it."""

    extra: int = 7


class Creator(Recorder):
    """Creates other paglets."""

    def own(self, message: Message) -> Any:
        if message.kind != "create":
            return NOT_HANDLED
        proxy = self.context.create_paglet(
            Recorder,
            Notes(count=message.get_arg("count", 0)),
            init=message.get_arg("init"),
            host_url=message.get_arg("on"),
        )
        return [proxy.to_wire(), proxy.send(Message("log"))]


_ERRORS: dict[str, type[Exception]] = {
    **{
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
}


class OwnError(errors.TransferError):
    """An author's subclass of a listed error."""


def odd(message: Message) -> Any:
    """Replies that cannot travel."""
    if message.kind == "large":
        return "x" * message.args["bytes"]
    return object() if message.kind == "object" else float("nan")


class Server(Recorder):
    """Takes its time, raises, prints and answers as it is told. A crash is the end of it, until it is activated."""

    RESTART = RestartPolicy.never()

    def __init__(self, state: Notes | None = None, *, agent_id: str | None = None) -> None:
        super().__init__(state, agent_id=agent_id)
        self.gate = threading.Event()

    def own(self, message: Message) -> Any:
        if message.kind in {"exit", "die", "kill", "spin"}:
            end(message, self.state)
        if message.kind.startswith("raise") or message.kind in {"cleanup", "in-doubt"}:
            fail(message)
        match message.kind:
            case "value":
                return message.get_arg()
            case "mark":
                self.state.log.append(message.get_arg())
                return len(self.state.log)
            case "block":
                self.state.log.append("block")
                self.gate.wait(message.get_arg("seconds", 20.0))
                self.gate.clear()
                return "unblocked"
            case "object" | "large" | "nan":
                return odd(message)
            case "print":
                print(message.get_arg())  # noqa: T201 - it is what is tested
                print("to stderr", file=sys.stderr)  # noqa: T201
                return None
            case "proxy":
                return PagletProxyRef.from_wire(message.args).resolve(self.context).send(Message("where"))
            case "checkpoint":
                return self.checkpoint()
            case "thread":
                return threading.current_thread() is threading.main_thread()
            case _:
                return NOT_HANDLED
        return None

    def run(self) -> None:
        super().run()


def fail(message: Message) -> None:
    """Raise what the message says."""
    match message.kind:
        case "raise":
            raise _ERRORS[message.get_arg()]("told to")
        case "raise-own":
            raise OwnError("of its own")
        case "raise-foreign":
            raise ZeroDivisionError("by zero")
        case "raise-ugly":
            raise UglyError
        case "cleanup":
            raise errors.ResourceCleanupError({"file": OSError("gone"), "socket": errors.HostError("off")})
        case "in-doubt":
            raise errors.TransferInDoubtError("host/7", "nobody answers")
        case _:
            pass


def end(message: Message, state: Notes) -> None:
    """End the process, or keep it busy for ever, as the message says."""
    match message.kind:
        case "spin":
            while True:
                state.count += 1
        case "exit":
            sys.exit(message.get_arg("code", 5))
        case "die":
            os._exit(6)
        case "kill":
            os.kill(os.getpid(), message.get_arg("signal"))
            time.sleep(10)
        case _:
            pass


class UglyError(Exception):
    """An error that cannot say what it is about."""

    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Gated(Server):
    """Its gate is opened through ``run()``, which waits for ``notify_message``."""

    def run(self) -> None:
        while True:
            self.wait_message()
            self.gate.set()


class Asker(Recorder):
    """Asks others."""

    def own(self, message: Message) -> Any:
        match message.kind:
            case "ask":
                return self.send(message.args["agent_id"], Message("echo"), host_url=message.args["host_url"])
            case "multicast":
                replies = self.multicast("add", {"by": 1}, include_self=message.args["include_self"])
                return [reply.get_reply(10) for reply in replies]
            case _:
                return NOT_HANDLED


class Mover(Recorder):
    """Moves itself: from handlers, from ``run()``, from hooks."""

    def own(self, message: Message) -> Any:
        match message.kind:
            case "go":
                return self._go(message.get_arg("to"))
            case "go-and-talk":
                proxy = self._go(message.get_arg("to"))
                self.state.log.append("lost")
                refused: list[str] = []
                for call in (
                    lambda: self.context.get_property("x"),
                    self.context.get_proxies,
                    self.checkpoint,
                    self.work_dir,
                    lambda: self.dispatch("a"),
                    lambda: self.send(self.agent_id, Message("peek")),
                ):
                    try:
                        call()
                    except errors.LifecycleError as error:
                        refused.append(type(error).__name__)
                return {"proxy": proxy, "refused": refused}
            case "try":
                return self._try(message.args["targets"])
            case "go-in-lock":
                with self.locked():
                    return self._go(message.get_arg("to"))
            case _:
                return self._leave(message)

    def _leave(self, message: Message) -> Any:
        match message.kind:
            case "go-through-proxy":
                proxy = self.context.get_proxy(self.agent_id)
                assert proxy is not None
                return proxy.dispatch(message.get_arg("to")).to_wire()
            case "linger":
                self._go(message.get_arg("to"))
                time.sleep(message.get_arg("seconds"))
                return "late"
            case "park":
                proxy = self.deactivate(reason="tired", metadata={"k": 1})
                self.state.log.append("lost")
                return proxy.to_wire()
            case "twin":
                return self.clone(message.get_arg("to")).to_wire()
            case "end":
                proxy = self.context.get_proxy(self.agent_id)
                assert proxy is not None
                proxy.dispose()
                return "disposed"
            case _:
                return NOT_HANDLED

    def _go(self, target: str) -> dict[str, str]:
        return self.dispatch(target).to_wire()

    def _try(self, targets: list[str]) -> Any:
        tried: list[str] = []
        for target in targets:
            try:
                return [tried, self._go(target)]
            except errors.TransferError as error:
                tried.append(f"{target}: {type(error).__name__}")
        return [tried, None]


class Runner(Recorder):
    """Moves along ``init`` from ``run()``, and waits where ``wait`` is said."""

    def run(self) -> None:
        super().run()
        with self.locked_state() as state:
            step = state.init.pop(0) if state.init else None
        match step:
            case None:
                return
            case "wait":
                self.wait_state(lambda state: state.count > 0)
            case "wait-message":
                self.wait_message()
                with self.locked_state() as state:
                    state.log.append("noticed")
            case "raise":
                raise ValueError("run cannot go on")
            case "spin":
                while True:
                    self.state.count += 1
            case "locked":
                with self.locked_state() as state:
                    try:
                        self.dispatch("b")
                    except errors.LifecycleError as error:
                        state.log.append(f"refused: {error}")
                    state.log.append("run@locked")
            case "park":
                self.deactivate()
            case _:
                self.dispatch(step)
                self.state.log.append("lost")


class EarlyBird(Recorder):
    """Moves on from the hook that it is born with, or arrives in, along ``init``."""

    def on_creation(self, event: CreationEvent) -> None:
        super().on_creation(event)
        self._next()

    def on_arrival(self, event: MobilityEvent) -> None:
        super().on_arrival(event)
        self._next()

    def _next(self) -> None:
        if self.state.init:
            self.dispatch(self.state.init.pop(0))
            self.note("lost")


class Picky(Recorder):
    """Raises in the hooks that ``init`` names, while ``count`` is zero, and is down then until it is activated."""

    RESTART = RestartPolicy.never()

    def note(self, text: str) -> None:
        super().note(text)
        if self.state.init and text.partition("@")[0] in self.state.init and not self.state.count:
            raise ValueError(f"not {text.partition('@')[0]}")

    def on_creation(self, event: CreationEvent) -> None:
        self.state.init = event.init
        self.state.count = 0


class FailsThere(Recorder):
    """Says what its own dispatch raised; its arrival hook raises."""

    RESTART = RestartPolicy.never()

    def on_arrival(self, event: MobilityEvent) -> None:
        raise ValueError("cannot live here")

    def own(self, message: Message) -> Any:
        try:
            return self.dispatch(message.args["to"]).to_wire()
        except errors.PagletError as error:
            return f"{type(error).__name__}: {error}"


class Sleeper(Recorder):
    """Has a deactivation policy of its own, given by ``init``."""

    def deactivation_policy(self, request: DeactivationRequest) -> DeactivationPolicy:
        if request.policy is not None:
            return request.policy
        return DeactivationPolicy.from_wire(self.state.init or {})

    def on_activation(self, event: PersistencyEvent) -> None:
        metadata = event.request.metadata if event.request else None
        policy = event.policy.to_wire() if event.policy else None
        self.state.log.append(f"{event.reason} {metadata} {policy is not None}")

    def own(self, message: Message) -> Any:
        if message.kind == "mark":
            self.state.log.append(message.get_arg())
            return message.get_arg()
        return NOT_HANDLED
