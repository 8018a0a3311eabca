"""Who asks for an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from paglets.remote.wire.peer import Peer
    from paglets.runtime.child_specs import Call
    from paglets.runtime.children.child import Child
    from paglets.runtime.residents import Resident


class Caller(NamedTuple):
    """A paglet of this host (``child`` and ``call``), a peer at one of the doors, or the program itself."""

    child: Child | None = None
    call: Call | None = None
    peer: Peer | None = None

    @property
    def agent_id(self) -> str | None:
        """The paglet that asks; None for everybody else."""
        return self.child.agent_id if self.child else None

    @property
    def share_key(self) -> str:
        """Whose share of what is bounded this takes; empty: the program's, which has no share of its own."""
        if self.child is not None:
            return self.child.agent_id
        return self.peer.share_key if self.peer is not None else ""

    def own_call(self, resident: Resident) -> int | None:
        """The call in which a paglet asks for something to be done with itself; None from outside."""
        if self.child is not None and self.child is resident.child and self.call is not None:
            return self.call.id
        return None


PROGRAM = Caller()
"""The program that embeds the host, or the host itself."""
