"""What is under way on a network, as a value: for trying every order in which things can happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

MessageT = TypeVar("MessageT", bound="Hashable")


class Traffic(frozenset[MessageT]):
    """The messages that may still arrive; each is a hashable value that says by itself where it goes.

    Every method gives another traffic and leaves this one as it is, so a traffic can be part of a state of the
    world that is kept and compared. The worst of networks is one from which nothing is ever taken: whatever was
    sent may arrive later, earlier than what was sent before it, again and again, or never. Whoever explores with
    it tries all of that by delivering any message at any time.
    """

    __slots__ = ()

    def send(self, *messages: MessageT) -> Traffic[MessageT]:
        """With these messages under way, too; what is under way already is so once."""
        return Traffic(self.union(messages))

    def lose(self, *messages: MessageT) -> Traffic[MessageT]:
        """Without them; they do not arrive any more. Also what a network does that delivers but once."""
        return Traffic(self.difference(messages))

    def lose_all(self) -> Traffic[MessageT]:
        """With nothing under way."""
        return Traffic()
