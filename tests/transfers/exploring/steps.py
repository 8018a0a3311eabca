"""Every step there is. A new kind of step is a function in one of these lists, with its own part of `Budget`."""

from __future__ import annotations

from inspect import Signature, getmembers, isfunction, signature
from typing import TYPE_CHECKING

from tests.transfers.exploring import (
    adopting,
    deliveries,
    living,
    moving,
    queueing,
    restoring,
    waiting,
    wanting,
)
from tests.transfers.exploring.stores import is_held, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.world import HostState

OF_A_MOVE = [moving.of_a_move]
"""At its source, by what it holds in memory."""
OF_A_RECORD = [wanting.wills, living.of_a_life, waiting.of_what_waits, queueing.wishes, queueing.taking_up]
OF_A_HOST = [
    living.of_a_host,
    living.floors,
    adopting.of_adoptions,
    waiting.letters,
    queueing.of_waits,
    restoring.of_copies,
]
OF_A_HELD_RECORD = [waiting.of_what_waits]
"""At a host whose store is a copy that nobody has accepted: nothing is woken or moved there."""


def name_of(act: Callable[..., str]) -> str:
    """By which a step is told from all others."""
    return f"{act.__module__.rpartition('.')[2]}.{act.__name__}"


def names() -> set[str]:
    """Of all steps: public functions that do something with a draft, and say what it was."""
    rooms = (adopting, deliveries, living, moving, queueing, restoring, waiting, wanting)
    functions = [each for room in rooms for name, each in getmembers(room, isfunction) if name[0] != "_"]
    return {name_of(each) for each in functions if _is_step(signature(each))}


def _is_step(seen: Signature) -> bool:
    return next(iter(seen.parameters), "") == "draft" and seen.return_annotation == "str"


def steps_at(maker: Maker, name: str) -> Iterator[Choice]:
    """What can happen at one host by itself."""
    host = maker.host(name)
    for running in host.moves:
        for of_a_move in OF_A_MOVE:
            yield from of_a_move(maker, name, host, running)
    yield from steps_of_records(maker, name, host)
    for of_a_host in OF_A_HOST:
        yield from of_a_host(maker, name, host)


def steps_of_records(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    """What can happen to the paglets that a host knows."""
    kinds = OF_A_HELD_RECORD if is_held(host.store, name) else OF_A_RECORD
    for record in records(host.store).values():
        for of_a_record in kinds:
            yield from of_a_record(maker, name, host, record)
