"""Why a host refused an envelope reaches the people at the source, whichever way the refusal takes."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import TransferError
from paglets.core.incarnation import TransferId
from paglets.persistence.records import Outcome
from paglets.persistence.store import Store, StoreSettings
from paglets.remote import api
from paglets.remote.envelopes.verdicts import read_verdict_answer, verify_verdict
from paglets.runtime.transfers.advice import MAX_KEPT, Advice
from tests.host.agents import Recorder
from tests.host.support import ask, start_host
from tests.security.intruder import Intruder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.runtime.host import Host

NEARLY_FULL = "nearly full.* make room"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Host]:
    """A host whose disk has less left than it wants to keep free."""
    store = Store(tmp_path / "full-store", settings=StoreSettings(disk_reserve=2**60))
    host = start_host("full", tmp_path, store=store)
    yield host
    host.stop()


def test_a_refusal_is_what_the_error_says(full: Host, tmp_path: Path) -> None:
    source = start_host("source", tmp_path, peers=[full.address])
    try:
        proxy = source.create(Recorder)
        with pytest.raises(TransferError, match=NEARLY_FULL):
            proxy.dispatch(full.address)
        assert ask(proxy, "add") == 1
    finally:
        source.stop()


async def test_a_refusal_that_was_not_heard_is_in_the_verdict(full: Host, tmp_path: Path) -> None:
    source = Intruder.host(tmp_path / "mesh", "source")
    header = source.header(full)
    asked = api.VerdictAskParams(
        source=source.key.host_id,
        counter=header.transfer_id.counter,
        agent_id=header.agent_id,
        incarnation=header.incarnation,
    )
    refused = await source.send(full, header)
    assert refused.kind == "refused"
    raw = await source.ask(full.address, api.VERDICT_ASK, asked)
    signed = verify_verdict(
        read_verdict_answer(base64.b64decode(raw["verdict"])).verdict,
        mesh_id=header.mesh_id,
        target=header.destination,
        transfer_id=header.transfer_id,
        agent_id=header.agent_id,
        incarnation=header.incarnation,
    )
    assert signed.verdict.outcome is Outcome.FENCED
    assert re.fullmatch(f"it had not arrived when its source asked: .*{NEARLY_FULL}.*", signed.verdict.reason)


def test_advice_is_bounded() -> None:
    advice = Advice()
    for number in range(MAX_KEPT + 1):
        advice.keep(TransferId("host", number), "no" * 1000)
    assert advice.of(TransferId("host", 0)) == ""
    assert 0 < len(advice.of(TransferId("host", MAX_KEPT))) < 1000
    advice.forget(TransferId("host", MAX_KEPT))
    assert advice.of(TransferId("host", MAX_KEPT)) == ""
