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

    def own_call(self, resident: Resident) -> int | None:
        """The call in which a paglet asks for something to be done with itself; None from outside."""
        if self.child is not None and self.child is resident.child and self.call is not None:
            return self.call.id
        return None


PROGRAM = Caller()
"""The program that embeds the host, or the host itself."""
