"""Artifacts and files on the stream path: what is not genuine, not whole or not the sender's to send is refused.

Each time: an error for the sender, a ``security`` event, nothing stored, and the host goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
import pytest

from paglets.core.errors import PagletError, TransferError
from paglets.remote import artifact_api
from paglets.remote.envelopes.header import FileEntry
from paglets.remote.trust.keys import HostKey
from tests.security.intruder import Intruder
from tests.security.smuggler import CONTENT, Smuggler, heard, transfer_id
from tests.security.watch import alarm, eventually, goes_on, last_event, paglets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.host import Host

DIGEST = hashlib.sha256(CONTENT).hexdigest()
KINDS = ["push", "pull", "file"]


@pytest.fixture
def smuggler(mallory: Intruder, victim: Host) -> Smuggler:
    return Smuggler(mallory, victim)


def places(victim: Host) -> list[str]:
    """What is below the directory for files, directories too; it may be going while it is looked at."""
    root = victim.settings.data_dir / "files"
    found = [
        Path(below, name).relative_to(root)
        for below, directories, files in os.walk(root)
        for name in [*directories, *files]
    ]
    return sorted(str(each) for each in found)


def nothing_is_left(victim: Host) -> bool:
    return not victim.artifacts.list() and victim.artifacts.used_bytes == 0 and not places(victim)


async def delete(victim: Host, artifact_id: str) -> None:
    assert await asyncio.to_thread(victim.artifacts.delete, artifact_id)


async def sweep(smuggler: Smuggler) -> None:
    """The source says that all that it has announced is settled; the host lets go of it."""
    said = await smuggler.send(smuggler.header("file", number=1000, floor=2**50), b"")
    assert "at most" in said.refused
    await eventually(lambda: nothing_is_left(smuggler.victim), "nothing to be left")


def _by_another(smuggler: Smuggler, kind: str) -> bytes:
    """A header as another host would send it: what was captured from it, for example."""
    other = HostKey.generate()
    return smuggler.header(kind, key=other, source=other.host_id)


def _resigned(header: bytes) -> bytes:
    place = header.index(b'"signature":"') + 13
    return header[:place] + (b"0" if header[place : place + 1] != b"0" else b"1") + header[place + 1 :]


BAD_HEADERS: dict[str, Callable[[Smuggler, str], bytes]] = {
    "of another mesh": lambda s, kind: s.header(kind, mesh_id=HostKey.generate().host_id),
    "for another host": lambda s, kind: s.header(kind, destination=HostKey.generate().host_id),
    "in another's name": lambda s, kind: s.header(kind, source=s.victim.host_id),
    "signed by another": lambda s, kind: s.header(kind, key=HostKey.generate()),
    "by another, in its name": _by_another,
    "signed for something else": lambda s, kind: s.header(
        kind, label={"push": "pull", "pull": "file", "file": "push"}[kind]
    ),
    "without a field": lambda s, kind: s.header(kind, destination=None),
    "with a field more": lambda s, kind: s.header(kind, more=1),
    "with a field twice": lambda s, kind: s.sign(
        kind, msgspec.json.encode(s.fields(kind))[:-1] + b',"protocol":1}'
    ),
    "of the next version": lambda s, kind: s.header(kind, protocol=2),
    "altered": lambda s, kind: s.header(kind).replace(b'"protocol":1', b'"protocol":2'),
    "with another signature": lambda s, kind: _resigned(s.header(kind)),
    "cut": lambda s, kind: s.header(kind)[:-40] + b"}",
    "followed by something": lambda s, kind: s.header(kind) + b" ",
    "too large": lambda s, kind: s.header(kind, more="x" * 40_000),
    "far too large": lambda s, kind: s.header(kind, more="x" * 250_000),
    "no JSON": lambda s, kind: s.sign(kind, b"\xff"),
    "deep": lambda s, kind: s.sign(kind, b"[" * 30_000),
}
BAD_VALUES: dict[str, list[dict[str, Any]]] = {
    "push": [
        {"upload_id": ""}, {"upload_id": "../x"}, {"upload_id": "a" * 81}, {"size": -2}, {"size": 2**64},
        {"digest": "x"}, {"expires_at": -1.0}, {"name": "n" * 513}, {"size": "1"}, {"size": 1.5},
    ],
    "pull": [{"offset": -1}, {"artifact_id": "x" * 600}, {"offset": 2**60}],
    "file": [
        {"number": -1}, {"number": 2**20}, {"size": -1}, {"mode": "symlink"}, {"name": "n" * 201}, {"floor": -1},
        {"source_path": "/" * 5000}, {"transfer_id": ["x", "y"]}, {"transfer_id": []},
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
async def test_headers_that_are_not_genuine(
    victim: Host, smuggler: Smuggler, kind: str, bad: Callable[[Smuggler, str], bytes]
) -> None:
    since = await asyncio.to_thread(last_event, victim)
    said = await smuggler.send(bad(smuggler, kind), b"", trailer=b"{}")
    assert not said.frames
    assert "Traceback" not in said.refused
    await alarm(victim, "stream", since, peer=smuggler.who.key.host_id)
    assert nothing_is_left(victim)


@pytest.mark.parametrize("kind", KINDS)
async def test_headers_that_cannot_be(victim: Host, smuggler: Smuggler, kind: str) -> None:
    for changes in BAD_VALUES[kind]:
        said = await smuggler.send(smuggler.header(kind, **changes), b"", trailer=b"{}")
        assert said.refused.partition(":")[0].endswith(("Error", "Mismatch")), changes
        assert not said.frames, changes
    for header in (
        b"{}",
        b'{"push":}',
        b'{"push":{}}',
        b'{"file":{"signature":"',
        b'{"pull":null}',
        b"\xff\xfe",
    ):
        assert (await smuggler.send(header, b"", trailer=b"{}")).refused
    assert nothing_is_left(victim)
    await goes_on(victim)


BAD_ENDS: dict[str, Callable[[Smuggler, bytes], tuple[bytes, bytes]]] = {
    # content and trailer
    "content altered": lambda s, h: (b"X" + CONTENT[1:], s.trailer(h)),
    "content cut": lambda s, h: (CONTENT[:-1], s.trailer(h)),
    "less than announced": lambda s, h: (CONTENT[:-1], s.trailer(h, CONTENT[:-1])),
    "nothing": lambda s, h: (b"", s.trailer(h, b"")),
    "more than announced": lambda s, h: (CONTENT + b"x", s.trailer(h, CONTENT + b"x")),
    "much more": lambda s, h: (CONTENT * 8, s.trailer(h, CONTENT * 8)),
    "another header's trailer": lambda s, h: (CONTENT, s.trailer(s.header("push"))),
    "another's trailer": lambda s, h: (CONTENT, s.trailer(h, key=HostKey.generate())),
    "another size": lambda s, h: (CONTENT, s.trailer(h, size=len(CONTENT) + 1)),
    "another digest": lambda s, h: (CONTENT, s.trailer(h, digest="0" * 64)),
    "an altered trailer": lambda s, h: (CONTENT, _resigned(s.trailer(h))),
    "a cut trailer": lambda s, h: (CONTENT, s.trailer(h)[:-1]),
    "no trailer": lambda s, h: (CONTENT, b"{}"),
    "a header for a trailer": lambda s, h: (CONTENT, h),
    "a trailer without end": lambda s, h: (CONTENT, b" " * 200_000),
}


@pytest.mark.parametrize("kind", ["push", "file"])
@pytest.mark.parametrize("bad", BAD_ENDS.values(), ids=BAD_ENDS.keys())
async def test_content_that_is_not_what_was_announced(
    victim: Host, smuggler: Smuggler, kind: str, bad: Callable[[Smuggler, bytes], tuple[bytes, bytes]]
) -> None:
    since = await asyncio.to_thread(last_event, victim)
    header = smuggler.header(kind)
    content, trailer = bad(smuggler, header)
    said = await smuggler.send(header, content, trailer=trailer)
    assert said.refused
    assert [set(frame) for frame in said.frames] in ([], [{"offset"}]), "no verdict"
    await _told(victim, since)
    await sweep(smuggler)
    assert nothing_is_left(victim)


async def _told(victim: Host, since: int) -> None:
    """It is shown: as a stream that was refused, or as frames that the wire does not allow."""
    tasks = [asyncio.ensure_future(alarm(victim, what, since)) for what in ("stream", "bad-frames")]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert done.pop().result()


async def test_a_digest_that_was_announced_is_held_to(victim: Host, smuggler: Smuggler) -> None:
    since = await asyncio.to_thread(last_event, victim)
    said = await smuggler.send(smuggler.header("push", digest="0" * 64))
    assert "announced" in said.refused
    await alarm(victim, "stream", since)
    assert nothing_is_left(victim)


async def test_frames_that_are_too_large(victim: Host, smuggler: Smuggler) -> None:
    assert (await smuggler.send(smuggler.header("push"), chunk=300_000)).refused
    await asyncio.to_thread(victim.artifacts.spool.drop_before, float("inf"))
    assert nothing_is_left(victim)
    await goes_on(victim)


async def test_a_good_one_is_taken_once_and_named_again(victim: Host, smuggler: Smuggler) -> None:
    """So that the tests above fail for what they say. Sent again it is the same artifact, not a second one."""
    header = smuggler.header("push")
    said = await smuggler.send(header)
    assert said.frames[0] == {"offset": 0}
    again = await smuggler.send(header, b"", trailer=b"{}")
    assert again.frames[0]["verdict"] == said.last
    [ref] = victim.artifacts.list()
    assert (ref.sha256, ref.owner_agent_id) == (DIGEST, "mallory")
    await delete(victim, ref.artifact_id)
    assert nothing_is_left(victim)


async def test_a_sender_that_is_there_twice_mixes_nothing(victim: Host, smuggler: Smuggler) -> None:
    for kind in ("push", "file"):
        header = smuggler.header(kind)
        async with smuggler.open() as first:
            first.channel.send_text(header)
            first.channel.send_binary(CONTENT[:200_000])
            assert (await heard(first, 1)).last == {"offset": 0}
            second = await smuggler.send(header, b"X" * len(CONTENT))
            assert "another connection" in second.refused
            for start in range(200_000, len(CONTENT), 200_000):
                first.channel.send_binary(CONTENT[start : start + 200_000])
            first.channel.send_text(smuggler.trailer(header))
            assert not (await heard(first, 1)).refused
    [ref] = victim.artifacts.list()
    assert ref.sha256 == DIGEST
    await delete(victim, ref.artifact_id)
    await sweep(smuggler)


class TestWhoMayWhat:
    async def test_an_admin_handles_artifacts_and_sends_no_files(self, victim: Host, admin: Intruder) -> None:
        since = await asyncio.to_thread(last_event, victim)
        smuggler = Smuggler(admin, victim)
        ref = (await smuggler.send(smuggler.header("push"))).last["artifact"]
        assert ref["sha256"] == DIGEST
        for method in (artifact_api.ARTIFACTS_INFO, artifact_api.ARTIFACTS_DELETE):
            params = artifact_api.ArtifactParams(artifact_id=ref["artifact_id"])
            assert await admin.ask(victim.address, method, params)
        said = await smuggler.send(smuggler.header("file"))
        assert "only hosts of the mesh" in said.refused
        await alarm(victim, "stream", since, peer=admin.key.host_id)
        assert nothing_is_left(victim)

    async def test_a_host_sends_files_for_its_own_moves_only(
        self, victim: Host, smuggler: Smuggler, site: Path
    ) -> None:
        since = await asyncio.to_thread(last_event, victim)
        other = Intruder.host(site / "mesh", "bystander")
        for source in (other.key.host_id, victim.host_id, "", "../../x"):
            said = await smuggler.send(smuggler.header("file", transfer_id=[source, 1]))
            assert "its own transfers" in said.refused
        await alarm(victim, "stream", since, peer=smuggler.who.key.host_id)
        assert nothing_is_left(victim)

    async def test_another_mesh_gets_nowhere(self, victim: Host, foreign: Intruder) -> None:
        smuggler = Smuggler(foreign, victim)
        with pytest.raises(PagletError):
            await smuggler.send(smuggler.header("push"))
        assert nothing_is_left(victim)


HOSTILE = [
    "../../../../etc/cron.d/x", "/etc/passwd", "..", ".", "", "/", "a/../../b", "\x00", "a\x00b", "\n", "\\\\host\\x",
    "x" * 4000, "\u202e" * 300, "é" * 2000, "con", "-rf", "~", "$HOME", "a" * 254 + ".txt", ".ssh", "%2e%2e%2f",
    "😀" * 900,
]  # fmt: skip


async def test_a_files_path_at_home_leads_nowhere_here(victim: Host, smuggler: Smuggler) -> None:
    """Of the path that the source names the last part is used, and only as a name."""
    for number, path in enumerate(HOSTILE):
        moving = transfer_id(smuggler.who)
        header = smuggler.header(
            "file", transfer_id=[*msgspec.to_builtins(moving)], source_path=path, name=f"f{number}"
        )
        said = await smuggler.send(header)
        if said.refused:
            assert "Malformed" in said.refused or "AuthenticationError" in said.refused, (path, said.refused)
            continue
        found = [each for each in places(victim) if each.startswith(f"{moving.source}.{moving.counter}/0/")]
        assert len(found) == 1, path
    assert all(len(each.split("/")) <= 3 for each in places(victim))
    for name in ("../x", "..", "/abs", "a/b", "", " x", "a\nb", "a\x00"):
        assert (await smuggler.send(smuggler.header("file", name=name))).refused, name
    await sweep(smuggler)
    await goes_on(victim)


async def test_a_paglet_gets_its_own_files_and_no_others(victim: Host, smuggler: Smuggler) -> None:
    """An envelope names files of its own transfer, each once, as they came; anything else is FENCED, or advised."""
    who = smuggler.who
    moving = transfer_id(who)
    other = transfer_id(who)
    for each, name in ((moving, "mine"), (other, "others")):
        said = await smuggler.send(
            smuggler.header("file", transfer_id=[each.source, each.counter], name=name)
        )
        assert said.last == {"staged": True}
    entry = FileEntry(name="mine", digest=DIGEST, size=len(CONTENT))
    for files in (
        [FileEntry(name="others", digest=DIGEST, size=len(CONTENT))],
        [entry, entry],
        [FileEntry(name="mine", digest="0" * 64, size=len(CONTENT))],
        [FileEntry(name="mine", digest=DIGEST, size=1)],
        [FileEntry(name="../mine", digest=DIGEST, size=len(CONTENT))],
    ):
        answer = await who.send(victim, who.header(victim, transfer_id=moving, files=files))
        assert answer.kind in {"refused", "fenced"}, files
        moving = transfer_id(who)
        said = await smuggler.send(
            smuggler.header("file", transfer_id=[moving.source, moving.counter], name="mine")
        )
    header = who.header(victim, transfer_id=moving, files=[entry])
    assert (await who.send(victim, header)).kind == "arrived"
    assert header.agent_id in await asyncio.to_thread(paglets_of, victim)
    (kept,) = {each.split("/")[0] for each in places(victim) if f".{moving.counter}" in each}
    root = victim.settings.data_dir / "files" / kept / "0" / "loot"
    assert root.read_bytes() == CONTENT
    await asyncio.to_thread(victim.dispose, header.agent_id)
    await sweep(smuggler)


class TestExhaustion:
    async def test_uploads_that_are_given_up_are_bounded(self, victim: Host, smuggler: Smuggler) -> None:
        """In number, in descriptors, and in what they keep from others."""
        before = psutil.Process().num_fds()
        for _ in range(40):
            for kind in ("push", "file"):
                async with smuggler.open() as link:
                    link.channel.send_text(smuggler.header(kind, size=900_000_000))
                    link.channel.send_binary(CONTENT[:200_000])
                    await heard(link, 1)
        await eventually(lambda: psutil.Process().num_fds() < before + 60, "descriptors to be let go")
        ref = await asyncio.to_thread(_store, victim, 1_000_000_000)
        await delete(victim, ref)
        while await asyncio.to_thread(victim.artifacts.spool.drop_oldest):
            pass
        await sweep(smuggler)
        await eventually(lambda: psutil.Process().num_fds() < before + 20, "descriptors to be let go")
        await goes_on(victim)

    async def test_files_without_an_envelope_are_bounded(self, victim: Host, smuggler: Smuggler) -> None:
        refused = ""
        for _ in range(70):
            said = await smuggler.send(smuggler.header("file", size=1), b"x")
            refused = refused or said.refused
        assert "as many files of paglets under way" in refused
        assert len([each for each in places(victim) if "/" not in each]) <= 64
        await sweep(smuggler)

    async def test_sizes_that_nobody_has(self, victim: Host, smuggler: Smuggler) -> None:
        for size in (2**40, 2**53):
            for kind in ("push", "file"):
                said = await smuggler.send(smuggler.header(kind, size=size), b"", trailer=b"{}")
                assert "bound" in said.refused
        await sweep(smuggler)

    async def test_owners_and_times_that_cannot_be(self, victim: Host, smuggler: Smuggler) -> None:
        hostile: list[dict[str, Any]] = [
            {"owner_agent_id": "é" * 500}, {"owner_agent_id": "\0"}, {"compression": "rar"}
        ]  # fmt: skip
        for changes in hostile:
            said = await smuggler.send(smuggler.header("push", **changes))
            assert said.refused, changes
            assert "failed" not in said.refused, changes
        said = await smuggler.send(smuggler.header("push", expires_at=1.0))
        assert not said.refused
        assert victim.artifacts.list() == [], "it expired long ago"
        await asyncio.to_thread(victim.artifacts.cleanup_temporary)
        assert nothing_is_left(victim)


def _store(victim: Host, size: int) -> str:
    class Zeros:
        left = size

        def read(self, wanted: int, /) -> bytes:
            part = min(wanted, self.left, 1)
            self.left = 0  # it is enough that there is room for all of it
            return bytes(part)

    with contextlib.suppress(TransferError):
        victim.artifacts.create_from_stream(Zeros(), size_bytes=size)
    return victim.artifacts.create_from_stream(Zeros()).ref.artifact_id
