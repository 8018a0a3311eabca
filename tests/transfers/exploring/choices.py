"""Steps that a world can take, told before they are taken: so that who explores takes all, and who walks takes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.transfers.exploring.stores import records
from tests.transfers.exploring.world import POSITION

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.records import PagletRecord
    from tests.transfers.exploring.draft import Draft
    from tests.transfers.exploring.scope import Scope
    from tests.transfers.exploring.world import HostState, View


class NotNowError(Exception):
    """The step turns out not to be possible in this world."""


class Choice(NamedTuple):
    """A step that can be taken now: ``act(draft, *args)`` does it and says what it was."""

    act: Callable[..., str]
    args: tuple[Any, ...]
    spend: str = ""
    """The part of the budget that it takes from."""
    progress: bool = True
    """The protocol takes it by itself, sooner or later; otherwise somebody's will or bad luck does."""


def will(act: Callable[..., str], *args: Any, spend: str = "") -> Choice:
    """A step that somebody's will or bad luck takes."""
    return Choice(act, args, spend, progress=False)


def duty(act: Callable[..., str], *args: Any) -> Choice:
    """A step that the protocol takes by itself."""
    return Choice(act, args)


def take(choice: Choice, draft: Draft) -> str | None:
    """Take the step; what it was, or None when it is not possible. ``BrokenPromiseError`` passes through."""
    try:
        return choice.act(draft, *choice.args)
    except NotNowError:
        return None


class Maker(NamedTuple):
    """The world whose steps are looked for."""

    world: View
    scope: Scope

    @property
    def rules(self) -> Any:
        """The rules in force."""
        return self.scope.rules

    def may(self, kind: str) -> bool:
        """Whether the budget allows one more event of that kind."""
        return self.world.budget[POSITION[kind]] > 0

    def left(self, kind: str) -> int:
        """How many more events of that kind the budget allows."""
        return self.world.budget[POSITION[kind]]

    def host(self, name: str) -> HostState:
        """One host, as it is."""
        return self.world.hosts[self.scope.index[name]]

    def record(self, name: str, agent_id: str) -> PagletRecord | None:
        """What a host knows of a paglet."""
        return records(self.host(name).store).get(agent_id)

    def is_sent(self, message: Any) -> bool:
        """Whether the same is under way already."""
        return message in self.world.net
