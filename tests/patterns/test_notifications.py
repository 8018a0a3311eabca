"""Telling people: what is told, to whom, and that it never hurts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from paglets.core.agent import Paglet, PagletState
from paglets.core.references import PagletProxyRef
from paglets.core.runtime_values import ServiceScope
from paglets.patterns.notifications import NotificationMixin, NotificationSeverity
from paglets.patterns.user_info import NOTIFY, STREAM, USER_INFO, NotifyReply, UserNotification
from paglets.services.records import ServiceRecord

if TYPE_CHECKING:
    from paglets.core.context import PagletContext
    from paglets.core.messages import Message


@dataclass
class ToldState(PagletState):
    told: list[str] = field(default_factory=list[str])


class Teller(NotificationMixin, Paglet[ToldState]):
    State = ToldState


class Provider:
    """A service as the mixin sees one."""

    def __init__(self, host_url: str, *, works: bool = True, seconds: float = 0.0) -> None:
        proxy = PagletProxyRef(host_url, "service.user-info")
        self.record = ServiceRecord("user-info", proxy, host_url=host_url)
        self.works = works
        self.seconds = seconds
        self.got: list[UserNotification] = []

    def call(self, op: object, req: UserNotification, *, timeout: float) -> NotifyReply:
        assert op == NOTIFY
        assert 0 < timeout <= 2.0
        time.sleep(min(self.seconds, timeout))
        if not self.works:
            raise OSError("out of order")
        self.got.append(req)
        return NotifyReply(len(self.got))


class Place:
    """A context with those services."""

    agent_id = "me"
    name = "here"
    address = "https://here:1"

    def __init__(self, *providers: Provider) -> None:
        self.providers = list(providers)
        self.asked: list[Any] = []

    def lookup_contracts(self, contract: object, *, operation: object, scope: ServiceScope) -> list[Provider]:
        assert (contract, operation) == (USER_INFO, NOTIFY)
        self.asked.append(scope)
        return self.providers


def teller_at(*providers: Provider) -> tuple[Teller, Place]:
    teller, place = Teller(), Place(*providers)
    teller.attach(cast("PagletContext", place))
    return teller, place


def test_without_a_host_nobody_is_told() -> None:
    assert Teller().notify_user_info(NotificationSeverity.INFO, "title", "text") is False


def test_without_a_service_nobody_is_told() -> None:
    teller, place = teller_at()
    assert teller.notify_user_info(NotificationSeverity.INFO, "title", "text") is False
    assert place.asked == [ServiceScope.MESH]


def test_the_own_host_is_told_first() -> None:
    far, near = Provider("https://far:1"), Provider(Place.address)
    teller, place = teller_at(far, near)
    assert teller.notify_user_info(
        NotificationSeverity.WARNING, "title", "text", job_id="j", scope=ServiceScope.LOCAL, metadata={"k": 1}
    )
    assert far.got == []
    (told,) = near.got
    assert (told.severity, told.title, told.message, told.job_id, told.metadata) == (
        NotificationSeverity.WARNING, "title", "text", "j", {"k": 1},
    )  # fmt: skip
    assert (told.agent_id, told.host_name, told.host_url) == ("me", "here", "https://here:1")
    assert place.asked == [ServiceScope.LOCAL]


def test_then_the_others() -> None:
    broken, far = Provider(Place.address, works=False), Provider("https://far:1")
    assert teller_at(far, broken)[0].notify_user_info(NotificationSeverity.ERROR, "t", "m")
    assert len(far.got) == 1


def test_no_longer_than_it_may_take() -> None:
    slow, far = Provider(Place.address, works=False, seconds=1.0), Provider("https://far:1")
    began = time.monotonic()
    assert not teller_at(slow, far)[0].notify_user_info(NotificationSeverity.INFO, "t", "m", timeout=0.05)
    assert time.monotonic() - began < 0.9
    assert far.got == []


@pytest.mark.parametrize("wrong", [{"severity": "fatal"}, {"metadata": 5}, {"timeout": "soon"}], ids=str)
def test_a_mistake_does_not_hurt_either(wrong: dict[str, Any]) -> None:
    teller, _ = teller_at(Provider(Place.address))
    values: dict[str, Any] = {"severity": NotificationSeverity.INFO, **wrong}
    assert teller.notify_user_info(values.pop("severity"), "t", "m", **values) is False


def test_the_contract_is_the_one_of_the_service() -> None:
    assert (USER_INFO.name, USER_INFO.capabilities) == ("user-info", ("notify", "stream"))
    sent: Message = NOTIFY.to_message(UserNotification(NotificationSeverity.ERROR, "t"))
    assert sent.args["severity"] == "error"
    assert NOTIFY.decode_request(sent).severity is NotificationSeverity.ERROR
    assert STREAM.decode_reply({"notifications": [sent.args], "cursor": 1}).notifications[0].title == "t"
    assert [each.value for each in NotificationSeverity] == ["info", "warning", "error"]
