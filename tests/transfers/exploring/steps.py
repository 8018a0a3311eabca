"""Every step there is. A new kind of step is a function in one of these lists, with its own part of `Budget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.transfers.exploring import adopting, living, moving, queueing, waiting, wanting
from tests.transfers.exploring.choices import Maker
from tests.transfers.exploring.deliveries import delivery
from tests.transfers.exploring.stores import records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transfers.exploring.choices import Choice
    from tests.transfers.exploring.scope import Scope
    from tests.transfers.exploring.world import World

OF_A_MOVE = [moving.of_a_move]
"""At its source, by what it holds in memory."""
OF_A_RECORD = [wanting.wills, living.of_a_life, waiting.of_what_waits, queueing.wishes, queueing.taking_up]
OF_A_HOST = [living.of_a_host, living.floors, adopting.of_adoptions, queueing.of_waits]


def steps_at(maker: Maker, name: str) -> Iterator[Choice]:
    """What can happen at one host by itself."""
    host = maker.host(name)
    for running in host.moves:
        for of_a_move in OF_A_MOVE:
            yield from of_a_move(maker, name, host, running)
    for record in records(host.store).values():
        for of_a_record in OF_A_RECORD:
            yield from of_a_record(maker, name, host, record)
    for of_a_host in OF_A_HOST:
        yield from of_a_host(maker, name, host)


def all_steps(world: World, scope: Scope) -> Iterator[Choice]:
    """What can happen now, anywhere."""
    maker = Maker(world, scope)
    for name in scope.host_ids:
        yield from steps_at(maker, name)
    for message in world.net:
        yield from delivery(maker, message)
