"""A key that was revoked: its sessions end, its paglets are fenced, it cannot come back, and everybody hears of it."""

from __future__ import annotations

import asyncio
import base64
import sys
import time
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import PagletError
from paglets.persistence.records import Outcome
from paglets.remote import api
from paglets.remote.trust.certificates import CertificateChain
from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.files import write_file
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.remote.trust.revocation import sign_revocation
from paglets.remote.wire.settings import STREAM_PATH
from paglets.runtime.host import Host
from tests.security.intruder import STATE, Intruder
from tests.security.watch import alarm, eventually, goes_on, last_event, paglets_of

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.store import Store


def revoke(site: Path, key_id: str) -> str:
    """An entry by the authority, as it travels."""
    key, certificate = MeshDirectory(site / "mesh").signing_key()
    entry = sign_revocation(
        key, key.host_id, key_id, reason="it was stolen", at=time.time(), issuer_certificate=certificate
    )
    return base64.b64encode(entry).decode("ascii")


async def tell(who: Intruder, host: Host, entry: str) -> None:
    await who.ask(host.address, api.REVOCATIONS_EXCHANGE, api.RevocationsParams(entries=[entry]))


async def until_refused(who: Intruder, host: Host) -> None:
    """Wait until the host has heard that the key is dead."""
    async with asyncio.timeout(10):
        while True:
            try:
                await who.ask(host.address, api.HOST_STATUS, api.NoParams())
            except PagletError as error:
                if "revoked" not in str(error):
                    raise
                return
            await asyncio.sleep(0.02)


async def test_a_revoked_member_loses_its_sessions_and_cannot_come_back(
    victim: Host, mallory: Intruder, site: Path
) -> None:
    bystander = Intruder.host(site / "mesh", "bystander")
    async with (
        mallory.open(victim.address) as control,
        mallory.open(victim.address, STREAM_PATH) as stream,
        bystander.open(victim.address) as other,
    ):
        since = await asyncio.to_thread(last_event, victim)
        await tell(bystander, victim, revoke(site, mallory.key.host_id))
        assert "revoked" in await control.closed()
        assert "revoked" in await stream.closed()
        assert other.channel.is_open
    await alarm(victim, "revoked", since, peer=mallory.key.host_id)
    for path in ("/v1/control", STREAM_PATH):
        with pytest.raises(PagletError, match="revoked"):
            async with mallory.open(victim.address, path):
                pass
    await alarm(victim, "revoked", since, count=1)
    await goes_on(victim)


async def test_an_envelope_that_is_being_looked_at_is_fenced_when_its_sender_is_revoked(
    victim: Host, store: Store, mallory: Intruder, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is made in the commit, which looks at the revocations again."""
    bystander = Intruder.host(site / "mesh", "bystander")
    (tmp_path / "slow_to_import.py").write_text(
        "import time\nfrom tests.security.samples import Quiet, QuietState\n"
        f"open({str(tmp_path / 'begun')!r}, 'w').close()\ntime.sleep(0.7)\n"
        "class Slow(Quiet):\n    State = QuietState\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    header = mallory.header(victim, class_name="slow_to_import:Slow")
    signed = mallory.sign(header)
    async with mallory.open(victim.address, STREAM_PATH) as stream:
        stream.channel.send_text(signed.encode())
        stream.channel.send_binary(STATE)
        stream.channel.send_text(mallory.trailer(signed))
        await eventually((tmp_path / "begun").exists, "the envelope is complete and being looked at")
        await tell(bystander, victim, revoke(site, mallory.key.host_id))
        await stream.closed()
    verdict = await eventually(
        lambda: store.read_sync(lambda tx: tx.verdict(header.transfer_id)), "a verdict is stored"
    )
    assert (verdict.outcome, verdict.reason) == (Outcome.FENCED, "the sending host was revoked")
    assert header.agent_id not in await asyncio.to_thread(paglets_of, victim)
    await goes_on(victim)


async def test_what_its_issuer_admitted_is_dead_with_the_issuer(
    victim: Host, site: Path, tmp_path: Path
) -> None:
    mesh = MeshDirectory(site / "mesh")
    issuing = tmp_path / "issuer"
    issuing.mkdir(mode=0o700)
    (issuing / "authority.crt").write_bytes((site / "mesh" / "authority.crt").read_bytes())
    issuer = HostKey.load_or_create(issuing / "issuer.key")
    certificate = mesh.issue_issuer_certificate(issuer.public_bytes)
    write_file(issuing / "issuer.crt", CertificateChain(certificate).to_pem(), mode=0o644)
    admitted = Intruder(MeshCredentials.for_host(MeshDirectory(issuing), HostKey.generate(), "admitted"))
    async with admitted.open(victim.address) as link:
        bystander = Intruder.host(site / "mesh", "bystander")
        await tell(bystander, victim, revoke(site, issuer.host_id))
        await link.closed()
    with pytest.raises(PagletError, match="revoked"):
        async with admitted.open(victim.address):
            pass


async def test_nobody_but_authority_and_issuers_can_revoke(
    victim: Host, mallory: Intruder, foreign: Intruder, site: Path
) -> None:
    bystander = Intruder.host(site / "mesh", "bystander")
    authority = MeshDirectory(site / "mesh").mesh_id
    for key, mesh_id, target in (
        (mallory.key, authority, bystander.key.host_id),
        (foreign.key, authority, bystander.key.host_id),
        (MeshDirectory(site / "mesh").signing_key()[0], authority, authority),
        (MeshDirectory(site / "mesh").signing_key()[0], foreign.credentials.mesh_id, bystander.key.host_id),
    ):
        forged = sign_revocation(key, mesh_id, target, reason="x", at=0.0)
        good = base64.b64encode(forged).decode("ascii")
        await tell(mallory, victim, good)
    for entry in ("no base64!", "", "A" * 10_000, "e30="):
        await tell(mallory, victim, entry)
    async with bystander.open(victim.address):
        pass
    await goes_on(victim)


async def test_a_revocation_reaches_every_host_by_itself_and_survives_a_restart(
    victim: Host, mallory: Intruder, site: Path
) -> None:
    """Told to one of three hosts that have had their links open for a while."""
    bystander = Intruder.host(site / "mesh", "bystander")

    def start(name: str, *peers: str) -> Host:
        host = Host(
            name, mesh_dir=site / "mesh", persistence_dir=site / name, peers=peers, mesh_gossip_interval=0.2
        )
        host.start_background()
        return host

    second = await asyncio.to_thread(start, "second", victim.address)
    third = await asyncio.to_thread(start, "third", second.address)
    try:
        for each in (second, third, victim):
            await eventually(lambda each=each: len(each.list_hosts(online_only=True)) == 3, "all have met")
        async with mallory.open(victim.address) as link:
            assert await mallory.ask(third.address, api.HOST_STATUS, api.NoParams())
            await tell(bystander, third, revoke(site, mallory.key.host_id))
            assert "revoked" in await link.closed(10)
        for each in (victim, second, third):
            await until_refused(mallory, each)
        await asyncio.to_thread(second.stop)
        second = await asyncio.to_thread(start, "second")
        with pytest.raises(PagletError, match="revoked"):
            await mallory.ask(second.address, api.HOST_STATUS, api.NoParams())
    finally:
        await asyncio.to_thread(third.stop)
        await asyncio.to_thread(second.stop)
