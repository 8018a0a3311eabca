"""What hosts tell each other about the mesh's members: facts, their order, and the message that carries them.

A *fact* is one member's status at one incarnation. Facts about a member are ordered by (incarnation,
status); the greater one wins wherever two meet, whatever way they came. Only the member itself raises its
incarnation, so only it can answer a suspicion, and a member that left stays left until it says otherwise
itself (Das, Gupta, Motivala: "SWIM", 2002, section 4.2).
"""

from __future__ import annotations

import enum
import urllib.parse
from typing import Any

import msgspec

from paglets.remote.api import Params

MAX_FACT_BYTES = 4096
"""One member's facts in JSON; a host whose tags and properties need more is refused at its start."""
MAX_GOSSIP_BYTES = 256 * 1024
"""One gossip message in JSON."""
MAX_INCARNATION = 2**53
MAX_NAME = 255
MAX_URL = 512
MAX_ADDRESSES = 16


class MemberStatus(enum.IntEnum):
    """What is believed of a member; at one incarnation a later one wins."""

    ALIVE = 0
    SUSPECT = 1
    """It missed a heartbeat, and has a while to say that it lives."""
    FAILED = 2
    """It did not say so."""
    LEFT = 3
    """It said goodbye."""


class HostFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a host says of itself. ``host_id`` identifies it; everything else is a hint or for people."""

    host_id: str
    name: str
    url: str
    """The address it listens on, as it knows it."""
    addresses: tuple[str, ...] = ()
    """Other URLs that may reach it."""
    code_version: str = ""
    active_count: int = 0
    inactive_count: int = 0
    tags: tuple[str, ...] = ()
    properties: dict[str, Any] = {}

    def urls(self) -> tuple[str, ...]:
        """Every URL it may be reached at, the likeliest first."""
        return tuple(dict.fromkeys(url for url in (self.url, *self.addresses) if url))


class MemberFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member's status at one incarnation."""

    facts: HostFacts
    incarnation: int = 0
    status: MemberStatus = MemberStatus.ALIVE
    session: int = 0
    """Drawn at random when the member started, so that it knows the facts of an earlier life from its own."""

    @property
    def host_id(self) -> str:
        """Whom the fact is about."""
        return self.facts.host_id

    @property
    def rank(self) -> tuple[int, int]:
        """Where the fact stands among the facts about its member."""
        return (self.incarnation, int(self.status))

    @property
    def up(self) -> bool:
        """Whether the member takes part: alive, or suspected and not yet given up."""
        return self.status in (MemberStatus.ALIVE, MemberStatus.SUSPECT)


class Opinion(msgspec.Struct, frozen=True):
    """What the sender of a message believes of its receiver, which may have to contradict."""

    incarnation: int
    status: MemberStatus
    session: int


class Gossip(Params, frozen=True):
    """A heartbeat, and its answer: what ``mesh.ping`` takes and gives."""

    sender: MemberFact
    about: Opinion | None = None
    facts: tuple[MemberFact, ...] = ()
    digest: int = 0
    """Of the sender's whole table; equal tables have equal digests."""
    pull: str | None = None
    """Set: the answer shall hold the facts of members with a greater id than this, a page of them."""
    next_pull: str | None = None
    """In an answer to a pull: there is more after this id."""
    revocations: str = ""
    """Digest of the sender's revocation set, added and compared by the service that sends this."""


class ProbeParams(Params, frozen=True):
    """``mesh.probe``: ping that member on behalf of the asking host, which cannot reach it."""

    host_id: str
    timeout: float = 1.0


class ProbeResult(msgspec.Struct, frozen=True):
    """The answer to a ``mesh.probe``."""

    reached: bool
    error: str = ""


def fact_problem(fact: MemberFact) -> str:
    """Say what is wrong with a fact from elsewhere, or with our own; empty when nothing is."""
    facts = fact.facts
    if not facts.host_id or len(facts.host_id) > MAX_NAME:
        return "no valid host id"
    if not 0 <= fact.incarnation <= MAX_INCARNATION:
        return "incarnation out of range"
    texts = (facts.host_id, facts.name, facts.url, *facts.addresses, facts.code_version, *facts.tags)
    if len(facts.name) > MAX_NAME or not all(text.isprintable() for text in texts):
        return f"a name longer than {MAX_NAME} characters, or characters that nobody can see"
    urls = (facts.url, *facts.addresses)
    if len(facts.addresses) > MAX_ADDRESSES or any(
        len(url) > MAX_URL or url.startswith("unix:") for url in urls
    ):
        return f"more than {MAX_ADDRESSES} addresses, one longer than {MAX_URL} characters, or a local socket"
    size = len(msgspec.json.encode(facts))
    if size > MAX_FACT_BYTES:
        return f"tags and properties too large ({size} bytes of at most {MAX_FACT_BYTES})"
    return ""


def normal_url(url: str) -> str:
    """Write a host URL in one way: lower-case scheme and host, no path; ``""`` for what is no URL."""
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    if not parts.scheme or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme.lower()}://{host}" + (f":{port}" if port is not None else "")
