"""Hosts that lie about the artifacts they keep: whoever asked gets an error, and no file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.artifacts.refs import ArtifactRef
from paglets.core.errors import PagletError, TransferError
from paglets.remote.client import HostClient
from tests.security.impostor import Impostor
from tests.security.smuggler import CONTENT, trailer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.stream_server import IncomingStream
    from paglets.runtime.host import Host
    from tests.security.intruder import Intruder

DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class LyingStore(Impostor):
    """Says of every artifact what a test wants."""

    content: bytes = CONTENT
    said: dict[str, Any] = field(default_factory=dict[str, Any])
    again: bool = False

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        """Give an artifact, or claim to have stored one."""
        del peer
        told = msgspec.json.encode({"artifact": self.said})
        if stream.header.startswith(b'{"pull"'):
            await stream.say(told)
            await stream.give(self.content)
            await stream.say(trailer_of(self.who.key, stream.header, self.content))
        elif self.again:
            await stream.say(b'{"offset":0,"verdict":%b}' % told)
        else:
            await stream.say(b'{"offset":0}')
        async for _ in stream:
            pass
        return told


@pytest.fixture
async def liar(victim: Host, mallory: Intruder) -> AsyncIterator[LyingStore]:
    async with LyingStore(mallory, victim.settings.mesh_version).open() as liar:
        assert isinstance(liar, LyingStore)
        yield liar


def ref_of(content: bytes, **changes: Any) -> dict[str, Any]:
    plain = {"host_url": "", "artifact_id": "a", "size_bytes": len(content), "sha256": _sha(content)}
    return {**plain, **changes}


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_another_content_than_the_reference_names_is_not_taken(
    victim: Host, liar: LyingStore, tmp_path: Path
) -> None:
    """The host that keeps an artifact cannot give another one in its place to who knows its checksum."""
    wanted = ArtifactRef(liar.url, "a", size_bytes=len(CONTENT), sha256=DIGEST)
    target = tmp_path / "got"
    for content, said in (
        (b"forged", ref_of(b"forged")),
        (b"forged", ref_of(CONTENT)),
        (CONTENT + b"x", ref_of(CONTENT)),
        (CONTENT[:-1], ref_of(CONTENT)),
        (CONTENT, ref_of(CONTENT, size_bytes=1)),
        (CONTENT, ref_of(CONTENT, size_bytes="x")),
        (CONTENT, ref_of(CONTENT, size_bytes=-1)),
        (CONTENT, {}),
    ):
        liar.content, liar.said = content, said
        with pytest.raises(PagletError):
            await asyncio.to_thread(victim.client.download_artifact, wanted, target)
        assert await asyncio.to_thread(os.listdir, tmp_path) == []
    liar.content, liar.said = CONTENT, ref_of(CONTENT)
    await asyncio.to_thread(victim.client.download_artifact, wanted, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("again", [False, True])
async def test_a_host_that_claims_to_have_stored_something_else(
    victim: Host, liar: LyingStore, tmp_path: Path, again: bool
) -> None:
    liar.again = again
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    for said in (ref_of(b"forged"), {}, ref_of(CONTENT, sha256=5)):
        liar.said = said
        with pytest.raises(PagletError):
            await asyncio.to_thread(victim.client.upload_artifact, liar.url, source)
    liar.said = ref_of(CONTENT)
    assert (await asyncio.to_thread(victim.client.upload_artifact, liar.url, source)).sha256 == DIGEST


async def test_an_upload_id_stands_for_one_content(victim: Host, site: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"

    def upload(content: bytes) -> ArtifactRef:
        source.write_bytes(content)
        return client.upload_artifact(victim.address, source, upload_id="nightly")

    with HostClient(mesh_dir=site / "mesh") as client:
        first = await asyncio.to_thread(upload, CONTENT)
        assert await asyncio.to_thread(upload, CONTENT) == first
        with pytest.raises(TransferError, match="one content only"):
            await asyncio.to_thread(upload, CONTENT[:-1] + b"X")
    assert [ref.artifact_id for ref in victim.artifacts.list()] == [first.artifact_id]
    assert await asyncio.to_thread(victim.artifacts.delete, first.artifact_id)
