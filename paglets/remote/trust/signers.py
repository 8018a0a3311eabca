"""Who signs what leaves over a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from paglets.remote.trust.keys import HostKey


class Signer(NamedTuple):
    """A key and the mesh that it is of; empty for a key that is of none, which only a local socket takes."""

    key: HostKey
    mesh_id: str
