"""What a host is told when it is made. One frozen value; nothing reads the environment below this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paglets.artifacts.store import DEFAULT_ARTIFACT_QUOTA_BYTES, DEFAULT_MAX_ARTIFACT_BYTES
from paglets.persistence.storage import DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES
from paglets.runtime.memory_room import default_reserve, default_waiting_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paglets.config.launch_config import AutoStartSpec

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what paglets and peers can make grow. Sizes in bytes, times in seconds."""

    state_bytes: int = GIB
    """The largest state that is taken in or sent."""
    mailbox_messages: int = 10_000
    waiting_bytes: int = field(default_factory=default_waiting_bytes)
    """Of messages in all mailboxes; and, each for itself, of calls of all paglets and of all peers under way."""
    forwards: int = 16
    """How many forwards one message follows."""
    active_paglets: int = 5_000
    """The last eighth is not for paglets that are created, cloned or sent by others than people."""
    memory_reserve: int = field(default_factory=default_reserve)
    """Memory that has to be free for a paglet to be given a process."""
    child_memory_bytes: int = GIB
    """Address space a child may use beyond the library's own, on top of a multiple of its state."""
    start_timeout: float = 30.0
    """From the request for a child until its class and state are loaded."""
    hook_timeout: float = 60.0
    """How long a lifecycle hook may take."""
    reply_timeout: float = 3_600.0
    """How long a sender that names no timeout waits for a reply."""
    end_grace: float = 5.0
    """How long the process of a paglet that moved on may take to end."""
    concurrent_starts: int = 8
    """Processes that are being given to paglets at a time; half of them on behalf of one who asks."""
    incoming_transfers: int = 64
    outbox_lifetime: float = 3 * 86_400.0
    """How long a one-way message waits for a host that is away before it is a dead letter; 30 days at most."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """One host. Paths exist or are made by the parts that own them."""

    name: str
    data_dir: Path
    bind: tuple[str, ...] = ("127.0.0.1",)
    port: int = 0
    public_url: str | None = None
    socket_path: Path | None = None
    """Where the local Unix socket is; None: no local door."""
    mesh_version: str = ""
    """Code version of the mesh; hosts of another one are visible, and not moved to."""
    mesh: bool = True
    peers: tuple[str, ...] = ()
    gossip_interval: float = 1.0
    offline_after: float = 10.0
    code_paths: tuple[Path, ...] | None = None
    """Directories that paglet classes may come from; None: any importable module."""
    startup_agents: tuple[AutoStartSpec, ...] = ()
    """Paglets that it creates when it starts."""
    resident_services: tuple[AutoStartSpec, ...] = ()
    """Services that it keeps."""
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    storage_quota_bytes: int = DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES
    artifact_max_bytes: int = DEFAULT_MAX_ARTIFACT_BYTES
    """Of one artifact, and of one file that travels with a paglet."""
    artifact_quota_bytes: int = DEFAULT_ARTIFACT_QUOTA_BYTES
    """Of all artifacts, and of all files of one paglet."""
    limits: Limits = field(default_factory=Limits)
