"""A paglet that means harm to its own host; a module of its own, because its process imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletError
from paglets.remote.proxy import PagletProxy, ProxyClient
from tests.security.samples import Quiet, QuietState

if TYPE_CHECKING:
    from paglets.core.messages import Message


class Splice(msgspec.Struct):
    """Encoded without a look at what is in it, so that it may be more than one value."""

    agent_id: str
    kind: str
    message_id: str
    body: msgspec.Raw


class Hostile(Quiet):
    """Calls operations of its host past everything that the library would check."""

    State = QuietState

    def handle_message(self, message: Message) -> Any:
        calls = PagletProxy.process_client
        assert calls is not None
        args = message.args
        match message.kind:
            case "call":
                return self.told(calls, args["method"], msgspec.Raw(args["params"].encode()))
            case "splice":
                return self.told(calls, "message.send", self.splice(args), args.get("host_url", ""))
            case "flood":
                splice = self.splice({"agent_id": "bystander", "body": "{}"})
                waiting = [calls.submit("", "message.send", splice, timeout=10) for _ in range(args["times"])]
                outcomes = [each.exception(30) for each in waiting]
                return sum(each is not None for each in outcomes)
            case _:
                return super().handle_message(message)

    def splice(self, args: dict[str, Any]) -> Splice:
        return Splice(args["agent_id"], "echo", "m", msgspec.Raw(args["body"].encode()))

    def told(self, calls: ProxyClient, method: str, params: Any, host_url: str = "") -> Any:
        try:
            return {"result": msgspec.json.decode(calls.call(host_url, method, params, timeout=10))}
        except PagletError as error:
            return {"error": type(error).__name__, "message": str(error)}
