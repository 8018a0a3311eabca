"""What the mixins of this package need of the paglet they are mixed into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from paglets.core.context import PagletContext

StateT_co = TypeVar("StateT_co", covariant=True)


class StateOwner(Protocol[StateT_co]):
    """Somebody with a state, its lock, and those who wait for its changes: every paglet, or a stand-in."""

    @property
    def state(self) -> StateT_co:
        """The state."""
        ...

    def locked_state(self) -> AbstractContextManager[StateT_co]:
        """The state, under its lock."""
        ...

    def notify_all_state_changed(self) -> None:
        """Wake all that wait for a change."""
        ...

    def wait_state(self, predicate: Callable[[], object], /, timeout: float | None = None) -> bool:
        """Wait until the predicate holds; whether it did in time."""
        ...


class StateOwnerOnHost(StateOwner[StateT_co], Protocol[StateT_co]):
    """The same, on a host."""

    @property
    def context(self) -> PagletContext:
        """Its view of its host."""
        ...
