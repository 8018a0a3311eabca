"""Who this host is and where it can be reached, as every part of it needs to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Here:
    """This host's identity. ``address`` is filled in when the listener is bound, and follows its changes."""

    name: str
    host_id: str
    mesh_id: str
    code_version: str
    address: str = ""

    def is_me(self, target: str) -> bool:
        """Whether a host name, URL or id means this host."""
        if not target or target == self.address:  # nearly always
            return True
        return target.rstrip("/") in {self.name, self.address, self.host_id}
