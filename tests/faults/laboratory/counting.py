"""When everything has come to rest: what is there, counted on every host through what hosts show to everybody."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletError
from paglets.persistence.records import PagletRecord, Phase
from paglets.persistence.store import Store
from paglets.remote import api
from tests.faults.laboratory.field import Copy
from tests.faults.laboratory.verdict import Findings, Look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.laboratory.books import Account
    from tests.faults.laboratory.field import Field

REST_SECONDS = 120.0
"""How long everything may take to come to rest, with all machines and cables well."""
_CALM_SECONDS = 0.5
_LOOK_SECONDS = 60.0
_STOP_SECONDS = 60.0
_NOTE = "note-"


class RestlessError(Exception):
    """Something does not come to rest."""


def come_to_rest(field: Field, within: float = REST_SECONDS) -> list[Copy]:
    """Wait until no move is under way, no message waits in an outbox, and every paglet that shall run does.

    For a while, in which nothing changes: between two moves of a paglet that is on a tour, or has several messages
    to go somewhere, it looks the same.
    """
    deadline = time.monotonic() + within
    calm, since = list[Copy](), time.monotonic()
    while True:
        try:
            copies = field.copies()
            transfers, waiting = field.transfers(), field.waiting()
            restless = [copy for copy in copies if not copy.at_rest]
            if transfers or waiting or restless or copies != calm:
                calm, since = copies, time.monotonic()
            elif time.monotonic() - since > _CALM_SECONDS:
                return copies
            state = f"transfers {transfers}\nin outboxes {waiting}\npaglets {restless}"
        except (PagletError, TimeoutError) as error:
            since = time.monotonic()
            state = f"{type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            raise RestlessError(f"it did not come to rest within {within:g} s:\n{state}")
        time.sleep(0.1)


def find(field: Field, accounts: Mapping[str, Account]) -> Findings:
    """Wake every paglet, have each tell of itself, and count."""
    copies = come_to_rest(field)
    for copy in copies:
        if copy.status != "active":
            with suppress(
                PagletError
            ):  # it may be on its way again, by a message that had waited; we look below
                field.ask(copy.host, api.PAGLETS_ACTIVATE, api.PagletParams(agent_id=copy.agent_id), 60.0)
    copies = come_to_rest(field)
    letters = [each for each in field.dead_letters() if each["message_id"].startswith(_NOTE)]
    dead = {int(each["message_id"].removeprefix(_NOTE)): each["in_doubt"] for each in letters}
    looks: dict[str, Look] = {}
    for copy in copies:
        account = accounts.get(copy.agent_id)
        expected = set(account.notes if account else ()) - dead.keys()
        looks[copy.agent_id] = _look(field, copy, expected)
    return Findings(
        copies=come_to_rest(field),
        looks=looks,
        dead=frozenset(dead),
        dead_for_certain=frozenset(number for number, doubt in dead.items() if not doubt),
    )


def _look(field: Field, copy: Copy, expected: set[int]) -> Look:
    """What a paglet tells of itself, when it has handled what waited for it, or had time enough for that."""
    deadline = time.monotonic() + _LOOK_SECONDS
    while True:
        told = _tell(field, copy)
        look = msgspec.convert(told, Look)
        if expected <= set(look.heard) or time.monotonic() > deadline:
            return look
        time.sleep(0.1)


def _tell(field: Field, copy: Copy) -> dict[str, Any]:
    body = msgspec.Raw(b'{"args": {}}')
    params = api.MessageParams(
        agent_id=copy.agent_id, kind="look", message_id="look", body=body, timeout=30.0
    )
    try:
        return field.ask(copy.host, api.MESSAGE_SEND, params, 40.0)
    except PagletError as error:
        raise RestlessError(f"{copy} does not answer: {error}") from error


def stray_processes(field: Field, copies: list[Copy], within: float = 20.0) -> list[str]:
    """Processes that no paglet explains, and paglets whose process is not there, when that has had its time.

    Each host keeps a process ready for the next paglet, two when several came one after the other.
    """
    deadline = time.monotonic() + within
    while True:
        shown = {copy.pid for copy in copies if copy.pid is not None} | _service_processes(field)
        strays: list[str] = []
        for machine in field:
            running = machine.children()
            if len(running - shown) > 2:
                strays.append(f"processes {running - shown} on {machine.name} belong to no paglet")
            shown -= running
        strays += [f"process {pid} of a paglet is not there" for pid in shown]
        if not strays or time.monotonic() > deadline:
            return strays
        time.sleep(0.1)
        copies = field.copies()


def _service_processes(field: Field) -> set[int]:
    return {
        each["pid"]
        for machine in field
        for each in field.ask(machine.name, api.PAGLETS_LIST, api.PagletsListParams(state="all"))["agents"]
        if each["resident"] and each["pid"]
    }


def stop_all(field: Field) -> list[str]:
    """Stop all hosts in order; what went wrong with that."""
    problems: list[str] = []
    families = [process for machine in field for process in machine.family()]
    for machine in field:
        machine.ask_to_stop()
    for machine in field:
        process = machine.process
        assert process is not None
        try:
            code = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            problems.append(f"host {machine.name} did not stop within {_STOP_SECONDS:g} s: {machine.abort()}")
            continue
        machine.ended()
        if code:
            problems.append(f"host {machine.name} stopped with {code}")
    left = [process for process in families if process.is_running() and process.status() != "zombie"]
    return problems + [f"process {process.pid} was left behind" for process in left]


def in_stores(field: Field) -> tuple[Counter[str], list[str]]:
    """In how many stores of stopped hosts each paglet has a live record; and what is odd there."""
    found: Counter[str] = Counter()
    odd: list[str] = []
    for machine in field:
        with Store(machine.data_dir / "store") as store:
            records = [record for record in _records(store) if not record.host_scoped]
            moving = [each for each in records if each.phase is Phase.PREPARED]
            odd += [f"{each.agent_id} is PREPARED on {machine.name}" for each in moving]
            odd += [f"damaged on {machine.name}: {each}" for each in store.damaged]
            found.update(each.agent_id for each in records if each.phase in {Phase.ACTIVE, Phase.INACTIVE})
    return found, odd


def _records(store: Store) -> list[PagletRecord]:
    found: list[PagletRecord] = []
    while page := _page(store, found[-1].agent_id if found else ""):
        found += page
    return found


def _page(store: Store, after: str) -> list[PagletRecord]:
    return store.read_sync(lambda tx: tx.paglets(after))
