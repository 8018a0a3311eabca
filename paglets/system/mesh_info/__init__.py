"""The mesh-info service: what the hosts of a mesh have to offer, and which of them suit a job.

::

    mesh = self.require_contract(MESH_INFO)
    wanted = TargetSelectionRequest(count=2, min_free_memory_bytes=256 * 1024**2, tags=("camera",))
    for target in mesh.call(SELECT_TARGETS, wanted).targets: ...
"""

from __future__ import annotations

from paglets.system.mesh_info.contract import (
    LANDSCAPE,
    MESH_INFO,
    MESH_INFO_AGENT_ID,
    SELECT_TARGETS,
    SNAPSHOT,
    SYNC,
    HostFacts,
    Landscape,
    LandscapeEntry,
    RejectedHost,
    SyncEntry,
    SyncReply,
    SyncRequest,
    TargetHost,
    TargetPreference,
    TargetSelection,
    TargetSelectionRequest,
)

__all__ = [
    "LANDSCAPE",
    "MESH_INFO",
    "MESH_INFO_AGENT_ID",
    "SELECT_TARGETS",
    "SNAPSHOT",
    "SYNC",
    "HostFacts",
    "Landscape",
    "LandscapeEntry",
    "RejectedHost",
    "SyncEntry",
    "SyncReply",
    "SyncRequest",
    "TargetHost",
    "TargetPreference",
    "TargetSelection",
    "TargetSelectionRequest",
]
