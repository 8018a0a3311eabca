"""Paglets with states of many types, and with handles to others in them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from uuid import UUID

from paglets.core.agent import ACTIVE, INACTIVE, NOT_HANDLED, Paglet, PagletState
from paglets.core.itinerary import ItineraryAgentMixin, ItineraryPlan, ItineraryTask, TaskItineraryPlan
from paglets.core.messages import Message
from paglets.remote.proxy import PagletProxy
from paglets.remote.references import PagletProxyRef
from tests.host.agents import Recorder

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Box(Generic[T]):
    inside: T


@dataclass
class Everything(PagletState):
    """One of each."""

    text: str = "ä\0\n"
    number: int = 10**40
    real: float = 0.1
    flag: bool = True
    nothing: None = None
    raw: bytes = b"\0\xff"
    array: bytearray = field(default_factory=lambda: bytearray(b"ab"))
    maybe: int | None = None
    names: set[str] = field(default_factory=lambda: {"b", "a"})
    pair: tuple[int, str] = (1, "x")
    many: tuple[int, ...] = (1, 2, 3)
    points: list[Point] = field(default_factory=lambda: [Point(1), Point(2, 3)])
    by_name: dict[str, Point] = field(default_factory=lambda: {"z": Point(1), "a": Point(2)})
    by_number: dict[int, str] = field(default_factory=lambda: {2: "two", 1: "one"})
    colour: Colour = Colour.BLUE
    literal: Literal["on", "off"] = "off"
    path: Path = Path("/a/b")
    when: datetime = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    span: timedelta = timedelta(seconds=1.5)
    uuid: UUID = field(default_factory=lambda: UUID(int=7))
    amount: Decimal = Decimal("1.10")
    box: Box[Point] = field(default_factory=lambda: Box(Point(9)))
    anything: Any = field(default_factory=lambda: {"k": [1, None, b"x"]})
    infinite: float = float("inf")


class Carrier(Paglet[Everything]):
    """Carries everything about, and says what of it has changed."""

    State = Everything

    def handle_message(self, message: Message) -> Any:
        if message.kind == "changed":
            fresh = Everything()
            return [name for name, value in vars(fresh).items() if getattr(self.state, name) != value]
        return NOT_HANDLED


@dataclass
class Friends(PagletState):
    proxy: PagletProxy | None = None
    ref: PagletProxyRef | None = None
    others: list[PagletProxy] = field(default_factory=list[PagletProxy])


class Friend(Paglet[Friends]):
    """Knows others, and talks to them wherever it is."""

    State = Friends

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "meet":
                self.state.ref = PagletProxyRef.from_wire(message.args)
                self.state.proxy = self.state.ref.resolve(self.context)
                self.state.others = [self.state.proxy]
                return self.state.proxy
            case "ask-proxy":
                assert self.state.proxy is not None
                return self.state.proxy.send(Message("where"))[0]
            case "ask-others":
                return [each.send(Message("where"))[0] for each in self.state.others]
            case "ask-ref":
                assert self.state.ref is not None
                return self.state.ref.resolve(self.context).send(Message("where"))[0]
            case "ask-arg":
                return PagletProxy.from_wire(message.get_arg("who")).send(Message("where"))[0]
            case _:
                return NOT_HANDLED


@dataclass
class Travels(PagletState):
    itinerary: ItineraryPlan = field(default_factory=ItineraryPlan)
    seen: list[str] = field(default_factory=list[str])


class Tourist(Paglet[Travels], ItineraryAgentMixin):
    """Goes where its plan says, and notes what it sees."""

    State = Travels

    def run(self) -> None:
        self.state.seen.append(f"{self.context.name}:{self.state.itinerary.current_location}")
        self.go_to_next_destination()

    def handle_message(self, message: Message) -> Any:
        return [self.state.seen, self.state.itinerary.completed, self.context.name]


@dataclass
class TaskTravels(PagletState):
    itinerary: TaskItineraryPlan = field(default_factory=TaskItineraryPlan)
    done: list[str] = field(default_factory=list[str])


class Worker(Paglet[TaskTravels], ItineraryAgentMixin):
    """Does its tasks where its plan says."""

    State = TaskTravels

    def on_arrival(self, event: MobilityEvent) -> None:
        self.execute_itinerary_tasks("arrival", event)

    def on_dispatching(self, event: MobilityEvent) -> None:
        self.execute_itinerary_tasks("dispatch", event)

    def run(self) -> None:
        self.go_to_next_destination()

    def execute_itinerary_task(self, task: ItineraryTask, phase: str, event: Any = None) -> Any:
        self.state.done.append(f"{task.name}@{self.context.name}:{phase}:{task.args.get('n')}")
        return task.name

    def handle_message(self, message: Message) -> Any:
        return [self.state.done, self.state.itinerary.completed]


class Observer(Recorder):
    """Tells what its context shows."""

    def own(self, message: Message) -> Any:
        args = message.args
        match message.kind:
            case "property":
                return self.context.get_property(args["key"], args.get("default"))
            case "set-property":
                return self.context.set_property(args["key"], args["value"])
            case "look":
                return self._look(args)
            case "proxies":
                states = (ACTIVE, INACTIVE, ACTIVE | INACTIVE)
                return [[each.agent_id for each in self.context.get_proxies(state)] for state in states]
            case "wait-for":
                return self.context.wait_for_host(args["name"], timeout=0.2, interval=0.05)
            case "handle":
                return getattr(self.context, args["method"])(*args["args"])
            case "surroundings":
                return [os.environ.get("SEEN_BY_CHILDREN"), os.getcwd()]  # noqa: PTH109 - as the process sees it
            case "notify":
                return self.notify_message()
            case "notify-all":
                return self.notify_all_messages()
            case _:
                return NOT_HANDLED

    def _look(self, args: dict[str, Any]) -> dict[str, Any]:
        context = self.context
        other, afar = context.get_proxy(args["other"]), context.get_proxy(args["afar"], args["url"])
        assert other is not None
        assert afar is not None
        status = context.host_status("b")
        return {
            "name": context.name,
            "address": context.address,
            "agent_id": context.agent_id,
            "other": other,
            "parked": context.get_proxy(args["parked"]),
            "nobody": context.get_proxy("nobody"),
            "afar here": context.get_proxy(args["afar"]),
            "afar by url": afar,
            "afar by name": context.get_proxy(args["afar"], "b"),
            "hosts": sorted(each.name for each in context.available_hosts()),
            "others": [each.name for each in context.available_hosts(include_self=False)],
            "online": context.is_host_online(args["url"]),
            "unknown": context.is_host_online("nowhere"),
            "status": status.name if status else None,
            "no status": context.host_status("nowhere"),
            "waited": context.wait_for_host("b").name,
            "is remote": [other.is_remote(), afar.is_remote()],
        }
