"""Paglets that take all they can get, and one that only wants to be served; processes import this module."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import PagletError
from paglets.core.messages import Message
from paglets.core.policies import RestartPolicy

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Count(PagletState):
    handled: int = 0


class Bystander(Paglet[Count]):
    """Counts, and answers at once."""

    State = Count

    def handle_message(self, message: Message) -> Any:
        if message.kind == "sleep":
            time.sleep(message.args["seconds"])
        elif message.kind == "large":
            return "x" * message.args["size"]
        self.state.handled += 1
        return self.state.handled


class Sleeper(Bystander):
    """Takes its time over every message, and so has many waiting."""

    def handle_message(self, message: Message) -> Any:
        time.sleep(0.02)
        return super().handle_message(message)


class Flooder(Bystander):
    """Floods with whatever it is asked for, and tells how often it was refused, and with which errors."""

    RESTART: ClassVar = RestartPolicy.never()
    why = ""
    """What the last refusal said."""

    def handle_message(self, message: Message) -> Any:
        args = message.args
        match message.kind:
            case "sends":
                return self.send_all(args)
            case "asks":
                return self.ask_all(args)
            case "one-ways":
                return self.send_one_ways(args)
            case "creates":
                return self.tried(args["times"], lambda: self.context.create_paglet(Bystander))
            case "clones":
                return self.tried(args["times"], self.clone)
            case "services":
                return self.tried(args["times"], self.offer)
            case "prints":
                for _ in range(args["times"]):
                    sys.stdout.write("x" * 100 + "\n")
                return None
            case "eats":
                self.eat(args["mebibytes"])
                return None
            case "why":
                return self.why
            case _:
                return super().handle_message(message)

    def send_all(self, args: dict[str, Any]) -> dict[str, int]:
        proxy = self.context.get_proxy(args["to"], args.get("host_url"))
        assert proxy is not None
        body = "x" * args.get("size", 10)
        replies = [proxy.send_future(Message("note", {"body": body})) for _ in range(args["times"])]
        return self.tried(len(replies), lambda: replies.pop().get_reply(timeout=100))

    def ask_all(self, args: dict[str, Any]) -> dict[str, int]:
        proxy = self.context.get_proxy(args["to"])
        assert proxy is not None
        replies = [proxy.send_future(Message("large", {"size": args["size"]})) for _ in range(args["times"])]
        return self.tried(len(replies), lambda: replies.pop().get_reply(timeout=60))

    def send_one_ways(self, args: dict[str, Any]) -> dict[str, int]:
        proxy = self.context.get_proxy(args["to"], args.get("host_url"))
        assert proxy is not None
        return self.tried(
            args["times"], lambda: proxy.send_oneway(Message("note", {"body": "x" * args["size"]}))
        )

    def offer(self) -> None:
        self.state.handled += 1
        self.advertise_service(f"service-{self.state.handled}")

    def tried(self, times: int, what: Callable[[], Any]) -> dict[str, int]:
        outcomes: dict[str, int] = {}
        for _ in range(times):
            try:
                what()
            except PagletError as error:
                outcomes[type(error).__name__] = outcomes.get(type(error).__name__, 0) + 1
                self.why = str(error)
            else:
                outcomes["done"] = outcomes.get("done", 0) + 1
        return outcomes

    def eat(self, mebibytes: int) -> None:
        self.eaten = [bytearray(b"x") * 1024 * 1024 for _ in range(mebibytes)]


class Hungry(Flooder):
    """Started again when the kernel has killed it."""

    RESTART: ClassVar = RestartPolicy.on_crash(5, 60.0)
