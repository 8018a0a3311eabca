"""Somebody of the mesh who sends artifacts and files by hand, and does not keep to the rules."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.incarnation import TransferId
from paglets.remote.bulk.frames import TRAILER_LABEL, BulkTrailer
from paglets.remote.trust.signed_frames import seal_frame
from paglets.remote.trust.strict_json import write_strict
from paglets.remote.wire.settings import REFUSED_PREFIX, STREAM_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paglets.remote.trust.keys import HostKey
    from paglets.runtime.host import Host
    from tests.security.intruder import Intruder
    from tests.wire.raw_link import RawLink

LABELS = {"push": b"paglets-push-v1\0", "pull": b"paglets-pull-v1\0", "file": b"paglets-file-v1\0"}
CONTENT = bytes(range(256)) * 2_000
BOUND = 20.0


@dataclass(frozen=True)
class Said:
    """What a host said: text frames as data, and how it ended."""

    frames: list[Any]
    refused: str = ""
    """Type and message of a refusal."""

    @property
    def last(self) -> Any:
        return self.frames[-1] if self.frames else None


@dataclass
class Smuggler:
    """Its headers are good until a test changes something."""

    who: Intruder
    victim: Host

    def fields(self, kind: str, **changes: Any) -> dict[str, Any]:
        """A good header's fields, with changes; None leaves one out."""
        own: dict[str, Any] = {
            "protocol": 1,
            "mesh_id": self.who.credentials.mesh_id,
            "source": self.who.key.host_id,
            "destination": self.victim.host_id,
        }
        if kind == "push":
            own |= {
                "upload_id": f"u{next(self.who.numbers)}", "size": len(CONTENT), "digest": "", "name": "loot",
                "compression": "", "owner_agent_id": "mallory", "expires_at": 0.0,
            }  # fmt: skip
        elif kind == "pull":
            own |= {"artifact_id": "a", "offset": 0}
        else:
            own |= {
                "transfer_id": [self.who.key.host_id, next(self.who.numbers)], "floor": 0, "agent_id": "wanderer",
                "number": 0, "name": "loot", "mode": "copy", "size": len(CONTENT), "source_host_name": "mallory",
                "source_host_url": "https://127.0.0.1:1", "source_path": "/tmp/loot", "source_created_at": 1.0,
                "source_modified_at": 1.0,
            }  # fmt: skip
        return {name: value for name, value in {**own, **changes}.items() if value is not None}

    def sign(self, kind: str, body: bytes, *, key: HostKey | None = None, label: str = "") -> bytes:
        """A header frame over whatever it is."""
        frame = seal_frame(key or self.who.key, LABELS[label or kind], body).encode()
        return b'{"%b":%b}' % (kind.encode(), frame)

    def header(self, kind: str, *, key: HostKey | None = None, label: str = "", **changes: Any) -> bytes:
        """A header frame; good, but for the changes."""
        body = msgspec.json.encode(self.fields(kind, **changes))
        return self.sign(kind, body, key=key, label=label)

    def trailer(
        self, header: bytes, content: bytes = CONTENT, *, key: HostKey | None = None, **changes: Any
    ) -> bytes:
        """The trailer that belongs to a header and a content, with changes."""
        return trailer_of(key or self.who.key, header, content, **changes)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[RawLink]:
        """A stream to the victim."""
        async with self.who.open(self.victim.address, STREAM_PATH) as link:
            yield link

    async def send(
        self, header: bytes, content: bytes = CONTENT, *, trailer: bytes | None = None, chunk: int = 262_144
    ) -> Said:
        """Send all of it on a stream of its own; what the victim says until it has decided."""
        async with self.open() as link:
            try:
                link.channel.send_text(header)
                for start in range(0, len(content), chunk):
                    await asyncio.sleep(0)
                    link.channel.send_binary(content[start : start + chunk])
                    await link.channel.drain()
                link.channel.send_text(self.trailer(header, content) if trailer is None else trailer)
            except OSError:
                pass  # the host has hung up; what it said is here already
            return await heard(link)


async def heard(link: RawLink, frames: int = 2) -> Said:
    """What comes on a stream: so many text frames, or up to a refusal or the end."""
    said: list[Any] = []
    while len(said) < frames:
        come = asyncio.ensure_future(link.arrived.get())
        closed = asyncio.ensure_future(link.closed(BOUND))
        done, waiting = await asyncio.wait([come, closed], timeout=BOUND, return_when=asyncio.FIRST_COMPLETED)
        assert done, "the host said nothing"
        for task in waiting:
            task.cancel()
        await asyncio.wait([come, closed])
        if come not in done:
            return Said(said, "closed")
        if come.result().startswith(REFUSED_PREFIX):
            report = msgspec.json.decode(come.result())["refused"]
            return Said(said, f"{report['type']}: {report['message']}")
        said.append(msgspec.json.decode(come.result()))
    return Said(said)


def trailer_of(key: HostKey, header: bytes, content: bytes, **changes: Any) -> bytes:
    """A trailer frame, with changes."""
    fields: dict[str, Any] = {
        "header_digest": hashlib.sha256(_body(header)).hexdigest(),
        "size": len(content),
        "digest": hashlib.sha256(content).hexdigest(),
    }
    return seal_frame(key, TRAILER_LABEL, write_strict(BulkTrailer(**{**fields, **changes}))).encode()


def transfer_id(who: Intruder) -> TransferId:
    """A fresh one."""
    return TransferId(who.key.host_id, next(who.numbers))


def _body(header: bytes) -> bytes:
    """What was signed; nothing for what is no header."""
    return header.partition(b'"body":')[2][:-2]
