"""A genuine, complete envelope whose payload or class is an attack: fenced, with a reason, and nothing is left.

Only the child that was to hold the paglet pays for it.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from paglets.runtime.host import Host
from tests.security.intruder import QUIET, QUIET_STATE, STATE, Intruder
from tests.security.watch import eventually, goes_on, memory, paglets_of, processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.persistence.store import Store

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that appears when a payload ran code."""
    return tmp_path_factory.mktemp("marker") / "pwned"


def ran(mark: Path) -> bool:
    """Whether code ran that should not."""
    return mark.exists()


class Reduced:
    """Pickles as a call that runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return subprocess.getoutput, (self.command,)


def _payloads() -> dict[str, bytes]:
    touch = "touch {marker}"
    deep = 400_000
    laughs = b"]" + b"".join(
        b"\x94]" + b"h" + bytes([n]) + b"a" + b"h" + bytes([n]) + b"a" for n in range(40)
    )
    return {
        "a call, protocol 0": b"cos\nsystem\n(S'" + touch.encode() + b"'\ntR.",
        "a call, protocol 4": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c%c" + touch.encode() + b"\x85R.",
        "a call inside of a state": b"\x80\x04}\x8c\x05countcposix\nsystem\n(S'"
        + touch.encode()
        + b"'\ntRs.",
        "a name alone": b"\x80\x04}\x8c\x05countcbuiltins\nobject\ns.",
        "an instance": b"(iposix\nsystem\n.",
        "an object by class": b"\x80\x02cbuiltins\nlist\n)\x81.",
        "a set-up of an object": b"\x80\x02}}b.",
        "a persistent id": b"Pmy-database-row\n.",
        "a binary persistent id": b"\x80\x02K\x01Q.",
        "an extension code": b"\x80\x02\x82\x01.",
        "a long extension code": b"\x80\x02\x84\x01\x00\x00\x00.",
        "an out-of-band buffer": b"\x80\x05\x97.",
        "nine bytes that take gigabytes": b"\x80\x02}r\xff\xff\xff\x7f.",
        "a memo of all sizes": b"\x80\x04"
        + b"".join(b"}r" + struct.pack("<I", 1 << n) for n in range(20, 32))
        + b".",
        "four gigabytes of bytes, said": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 32) + b"x.",
        "exabytes of text, said": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
        "a byte array past all bounds": b"\x80\x05\x96" + struct.pack("<Q", (1 << 63) - 1) + b"x.",
        "a frame past all bounds": b"\x80\x04\x95" + struct.pack("<Q", (1 << 64) - 1) + b"}.",
        "a number of two gigabytes": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"x.",
        "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
        "deep nesting": b"\x80\x04" + b"]" * deep + b"a" * (deep - 1) + b".",
        "deep tuples": b"\x80\x04)" + b"\x85" * deep + b".",
        "what holds itself": b"\x80\x04]\x94h\x00a.",
        "a billion lists in eighty": b"\x80\x04" + laughs + b".",
        "nothing": b"",
        "garbage": b"\x00\xff" * 500,
        "JSON": b'{"count": 1}',
        "no dictionary": pickle.dumps([1, 2], protocol=5),
        "values that are not plain": pickle.dumps({"count": {1, 2}}, protocol=5),
        "half a state": STATE[:-4],
        "two states": STATE + STATE,
        "a field of another type": pickle.dumps({"count": "many"}, protocol=5),
        "a future protocol": b"\x80\x99}.",
    }


PAYLOADS = _payloads()


@pytest.mark.parametrize("name", PAYLOADS)
async def test_a_payload_that_is_no_state_is_fenced(
    victim: Host, mallory: Intruder, marker: Path, name: str
) -> None:
    command = f"touch {marker}".encode()
    payload = PAYLOADS[name].replace(b"%c", bytes([len(command)])).replace(b"touch {marker}", command)
    before, processes_before = memory(), processes()
    header = mallory.header(victim, payload_size=len(payload))
    answer = await mallory.send(victim, header, payload)
    assert answer.kind == "fenced", answer
    assert answer.reason
    assert answer.reason.isprintable()
    assert header.agent_id not in await asyncio.to_thread(paglets_of, victim)
    await eventually(lambda: processes() <= processes_before, "the child is gone")
    assert not ran(marker)
    assert memory() - before < 40 * MIB


async def test_a_pickle_that_python_itself_writes_for_a_call_is_fenced(
    victim: Host, mallory: Intruder, marker: Path
) -> None:
    for protocol in range(6):
        payload = pickle.dumps({"count": Reduced(f"touch {marker}")}, protocol=protocol)
        header = mallory.header(victim, payload_size=len(payload))
        answer = await mallory.send(victim, header, payload)
        assert answer.kind == "fenced", answer
        assert "names no code" in answer.reason, answer
    assert not ran(marker)
    await goes_on(victim)


async def test_bombs_at_once_cost_the_host_nothing(victim: Host, mallory: Intruder) -> None:
    """Eight children each run into their bound; the host's memory stays level and a member is still served."""
    bomb = PAYLOADS["nine bytes that take gigabytes"]
    before = memory()
    answers = await asyncio.gather(
        *(mallory.send(victim, mallory.header(victim, payload_size=len(bomb)), bomb) for _ in range(8)),
        goes_on(victim),
    )
    assert {answer.kind for answer in answers if answer is not None} == {"fenced"}
    assert memory() - before < 40 * MIB


@pytest.mark.parametrize(
    ("class_name", "state_class_name", "reason"),
    [
        ("os:system", QUIET_STATE, "no subclass of Paglet"),
        ("subprocess:Popen", "subprocess:Popen", "no subclass of Paglet"),
        ("builtins:object", "builtins:dict", "no subclass of Paglet"),
        ("sys:Paglet", QUIET_STATE, "has no Paglet"),
        ("paglets.core.agent:Paglet", "paglets.core.agent:PagletState", ""),
        ("tests.security.samples:NotAPaglet", QUIET_STATE, "no subclass of Paglet"),
        ("tests.security.samples:Nowhere", QUIET_STATE, "has no Nowhere"),
        ("no_such_module:Thing", QUIET_STATE, "cannot be imported"),
        ("__main__:Thing", QUIET_STATE, "main script"),
        ("__mp_main__:Thing", QUIET_STATE, "main script"),
        (QUIET, "tests.security.samples:NotAPaglet", "no state of"),
        (QUIET, "builtins:dict", "no state of"),
        (QUIET + ".__init__.__globals__", QUIET_STATE, "no subclass"),
        (QUIET + ".handle_message", QUIET_STATE, "no subclass"),
    ],
)
async def test_a_class_that_is_no_paglet_is_fenced(
    victim: Host, mallory: Intruder, class_name: str, state_class_name: str, reason: str
) -> None:
    header = mallory.header(victim, class_name=class_name, state_class_name=state_class_name)
    answer = await mallory.send(victim, header)
    assert answer.kind == "fenced", answer
    assert reason in answer.reason
    assert header.agent_id not in await asyncio.to_thread(paglets_of, victim)


@pytest.fixture(scope="module")
def strict(site: Path, victim: Host) -> Iterator[Host]:
    """A host that runs code from one directory only, as an appliance does."""
    allowed = site / "code"
    allowed.mkdir()
    (allowed / "allowed_code.py").write_text(
        "from dataclasses import dataclass\nfrom paglets.core.agent import Paglet\n"
        "@dataclass\nclass S:\n    count: int = 0\n\nclass P(Paglet[S]):\n    State = S\n"
        "    def handle_message(self, message):\n        return self.state.count\n"
    )
    host = Host(
        "strict", mesh_dir=site / "mesh", persistence_dir=site / "strict", code_paths=[allowed], mesh=False
    )
    with host:
        yield host


async def test_code_that_is_not_on_the_code_paths_is_not_even_imported(
    strict: Host, mallory: Intruder, site: Path
) -> None:
    elsewhere = site / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "forbidden_code.py").write_text(
        (site / "code" / "allowed_code.py").read_text() + f"open({str(elsewhere / 'ran')!r}, 'w').close()\n"
    )
    payload = pickle.dumps({"count": 7}, protocol=5)
    size = len(payload)
    good = mallory.header(
        strict, class_name="allowed_code:P", state_class_name="allowed_code:S", payload_size=size
    )
    assert (await mallory.send(strict, good, payload)).kind == "arrived"
    for class_name in (QUIET, "forbidden_code:P", "os:path", "allowed_code.sub:P", "turtle:Turtle"):
        header = mallory.header(strict, class_name=class_name, payload_size=size)
        answer = await mallory.send(strict, header, payload)
        assert answer.kind == "fenced", (class_name, answer)
    assert not ran(elsewhere / "ran")


async def test_a_payload_that_is_refused_leaves_no_blob(
    victim: Host, store: Store, mallory: Intruder
) -> None:
    payload = b"\x80\x04" + bytes(3 * MIB)
    before = store.read_sync(lambda tx: tx.blob_count())
    header = mallory.header(victim, payload_size=len(payload))
    assert (await mallory.send(victim, header, payload)).kind == "fenced"
    await eventually(lambda: not store.read_sync(lambda tx: tx.orphans()), "the chunks are swept")
    assert store.read_sync(lambda tx: tx.blob_count()) == before
