"""Paglets that send to each other, and to themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.core.agent import NOT_HANDLED
from paglets.core.messages import Message
from tests.host.agents import Recorder

if TYPE_CHECKING:
    from paglets.core.events import CreationEvent, MobilityEvent, PersistencyEvent


class Circler(Recorder):
    """Sends to whom it is told, in its handler or its hooks."""

    def on_creation(self, event: CreationEvent) -> None:
        if event.init == "talk-to-myself":
            self.send(self.agent_id, Message("peek"))
        elif event.init:
            self.send(event.init, Message("peek"))

    def on_activation(self, event: PersistencyEvent) -> None:
        if self.state.init:
            self.send(self.state.init, Message("peek"))

    def own(self, message: Message) -> Any:
        match message.kind:
            case "relay":
                url, *rest = message.args["route"]
                host, agent_id = url
                inner = Message("relay", {"route": rest}) if rest else Message("add")
                return self.send(agent_id, inner, host_url=host)
            case "self-future":
                proxy = self.context.get_proxy(self.agent_id)
                assert proxy is not None
                self.kept = proxy.send_future(Message("add"))
                return self.kept.is_available()
            case "self-oneway":
                proxy = self.context.get_proxy(self.agent_id)
                assert proxy is not None
                proxy.send_oneway(Message("add"))
                return None
            case "self-reserved":
                proxy = self.context.get_proxy(self.agent_id)
                assert proxy is not None
                return proxy.send(Message(message.args["kind"], message.args.get("args", {})))
            case "bear":
                return self.context.create_paglet(Circler, init=self.agent_id).to_wire()
            case "remember":
                self.state.init = message.get_arg()
                return None
            case _:
                return NOT_HANDLED


class Porter(Recorder):
    """Moves others, from its handler."""

    def own(self, message: Message) -> Any:
        match message.kind:
            case "carry":
                proxy = self.context.get_proxy(message.args["agent_id"])
                assert proxy is not None
                return proxy.dispatch(message.args["to"]).to_wire()
            case "number":
                return 7
            case _:
                return NOT_HANDLED


class Caller(Recorder):
    """Asks the paglet in ``init`` something when it arrives."""

    def on_creation(self, event: CreationEvent) -> None:
        self.state.init = [event.init, self.context.address]

    def on_arrival(self, event: MobilityEvent) -> None:
        agent_id, url = self.state.init
        number = self.context.send(agent_id, Message("number"), host_url=url)
        self.note(f"told: {number}")

    def run(self) -> None:
        pass
