"""What a pilot does with its paglets: each act asks for one thing, and writes down what was acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import InvalidAgentError
from paglets.core.runtime_values import ArrivalMode
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from tests.faults.laboratory.books import Outcome, Standing
from tests.faults.laboratory.pilot import Charge, Pilot

if TYPE_CHECKING:
    from collections.abc import Callable

FLEET = 2
"""Paglets that each pilot has; with clones it may have one or two more."""
_KINDS = ("Tourist", "Scribe", "Porter")
_FILE_BYTES = 60_000
_LARGE = 700_000
_TIMEOUTS = (0.5, 1.0, 2.0, 5.0)


def act(pilot: Pilot) -> None:
    """One act, by the pilot's dice."""
    if len(pilot.fleet) < FLEET:
        create(pilot)
        return
    charge = pilot.random.choice(pilot.reachable() or pilot.fleet)
    if len(pilot.fleet) > FLEET + 1:
        dispose(pilot, charge)
        return
    weights = [weight for weight, _ in ACTS]
    [(_, chosen)] = pilot.random.choices(ACTS, weights)
    chosen(pilot, charge)


# --- beginning and ending


def create(pilot: Pilot) -> None:
    kind = pilot.random.choice(_KINDS)
    place = pilot.random.choice(pilot.field.names)
    agent_id = f"p{pilot.number}-{pilot.traffic.number()}"
    account = pilot.books.open(agent_id, kind, Standing.MAYBE)
    charge = Charge(account, place)
    params = api.CreateParams(class_name=f"lab_paglets:{kind}", agent_id=agent_id)
    outcome, _ = pilot.attempt(lambda: pilot.ask(place, api.PAGLETS_CREATE, params))
    pilot.books.count("create", outcome, f"{agent_id} on {place}")
    if outcome is not Outcome.DONE:
        return
    account.standing = Standing.THERE
    pilot.fleet.append(charge)
    if kind == "Porter":
        _pack(pilot, charge)
    elif pilot.random.random() < 0.2:
        _tell(pilot, charge, "load", bytes=pilot.random.randrange(_LARGE))


def _pack(pilot: Pilot, charge: Charge) -> None:
    path = pilot.field.files / f"{charge.account.agent_id}.bin"
    path.write_bytes(pilot.random.randbytes(_FILE_BYTES))
    mode = pilot.random.choice(("copy", "move"))
    outcome, _ = _tell(pilot, charge, "pack", path=str(path), mode=mode)
    charge.account.packed = outcome is Outcome.DONE


def dispose(pilot: Pilot, charge: Charge) -> None:
    params = api.PagletParams(agent_id=charge.account.agent_id)
    outcome, _ = pilot.attempt(lambda: pilot.ask(charge.place, api.PAGLETS_DISPOSE, params))
    pilot.books.count("dispose", outcome, charge.about)
    charge.account.standing = Standing.GONE if outcome is Outcome.DONE else Standing.MAYBE
    pilot.fleet.remove(charge)


# --- moving


class Move(NamedTuple):
    """A move to be asked for, and how it counts."""

    name: str
    target: str
    work: Callable[[], Any]
    after: bool | None = False
    """Whether it is parked afterwards."""
    more: int = 0
    """Hops that may follow by themselves."""


def send_off(pilot: Pilot, charge: Charge) -> None:
    """From outside, to another host; a parked one moves as a record."""
    _move(pilot, charge, _dispatch(pilot, charge, pilot.other_than(charge.place)))


def stay(pilot: Pilot, charge: Charge) -> None:
    """A move to where it is."""
    if charge.parked is False:
        move = _dispatch(pilot, charge, charge.place)
        _move(pilot, charge, move._replace(name="move to the same host"))


def wait_for(pilot: Pilot, charge: Charge) -> None:
    """To a host that is away, if there is one: it is parked, and moves when that is back."""
    away = [machine.name for machine in pilot.field if machine.dead and machine.name != charge.place]
    target = pilot.random.choice(away or [pilot.other_than(charge.place)])
    params = api.DispatchParams(agent_id=charge.account.agent_id, ticket=_ticket(pilot, target, queue=True))
    place = charge.place
    name = "queued dispatch" if away else "dispatch, queued if need be"
    _move(
        pilot,
        charge,
        Move(name, target, lambda: pilot.ask(place, api.PAGLETS_DISPATCH, params), charge.parked),
    )


def go(pilot: Pilot, charge: Charge) -> None:
    """Asked for by itself, in its handler."""
    _move(pilot, charge, _going(pilot, charge, []))


def tour(pilot: Pilot, charge: Charge) -> None:
    """The same, and on and on from ``run()``."""
    route = [pilot.random.choice(pilot.field.names) for _ in range(pilot.random.randrange(2, 6))]
    _move(pilot, charge, _going(pilot, charge, route))


def retract(pilot: Pilot, charge: Charge) -> None:
    """Brought by the host that it shall come to."""
    _move(pilot, charge, _retraction(pilot, charge, pilot.other_than(charge.place)))


def race(pilot: Pilot, charge: Charge) -> None:
    """Two moves of the same paglet, asked for at the same time."""
    first = _dispatch(pilot, charge, pilot.other_than(charge.place))
    second = pilot.random.choice([_dispatch, _retraction])(pilot, charge, pilot.other_than(charge.place))
    place = charge.place
    beside = pilot.aside.submit(_hurry, pilot, place, second)
    outcomes = [(first, _hurry(pilot, place, first)), (second, beside.result(60.0))]
    was, charge.parked = charge.parked, None
    for move, (outcome, place_now) in outcomes:
        _book(pilot, charge, move, was, outcome, place_now)
        charge.parked = None


def copy(pilot: Pilot, charge: Charge) -> None:
    """A clone, here or elsewhere."""
    target = pilot.random.choice(pilot.field.names)
    params = api.CloneParams(agent_id=charge.account.agent_id, ticket=_ticket(pilot, target))
    with pilot.traffic.moving(charge.place, target):
        outcome, place = pilot.attempt(lambda: pilot.ask(charge.place, api.PAGLETS_CLONE, params))
    there = "beside it" if target == charge.place else "to another host"
    pilot.books.count(f"clone {there}", outcome, f"{charge.about} to {target}, {place}")
    if outcome is Outcome.DONE:
        account = pilot.books.open(place["agent_id"], charge.account.kind, Standing.THERE)
        account.packed = charge.account.packed
        pilot.fleet.append(Charge(account, target, None))
    elif outcome is Outcome.UNKNOWN:
        charge.account.maybe_clones += 1


def _ticket(
    pilot: Pilot, target: str, mode: ArrivalMode = ArrivalMode.ACTIVATE, *, queue: bool = False
) -> dict[str, Any]:
    timeout = pilot.random.choice(_TIMEOUTS)
    url = pilot.field[target].url
    return TransferTicket(url, timeout=timeout, arrival_mode=mode, queue=queue).to_wire()


def _dispatch(pilot: Pilot, charge: Charge, target: str) -> Move:
    mode = ArrivalMode.INACTIVE if pilot.random.random() < 0.05 else ArrivalMode.ACTIVATE
    params = api.DispatchParams(agent_id=charge.account.agent_id, ticket=_ticket(pilot, target, mode))
    place = charge.place
    if mode is ArrivalMode.INACTIVE:
        name, after = "dispatch, to be parked", True
    else:
        name, after = ("move of a parked one" if charge.parked else "dispatch"), charge.parked
    return Move(name, target, lambda: pilot.ask(place, api.PAGLETS_DISPATCH, params), after)


def _retraction(pilot: Pilot, charge: Charge, target: str) -> Move:
    params = api.RetractParams(
        agent_id=charge.account.agent_id, source_url=pilot.field[charge.place].url, timeout=5.0
    )
    return Move("retract", target, lambda: pilot.ask(target, api.PAGLETS_RETRACT, params), charge.parked)


def _going(pilot: Pilot, charge: Charge, route: list[str]) -> Move:
    target, place = pilot.other_than(charge.place), charge.place
    urls = [pilot.field[name].url for name in route]
    timeout = pilot.random.choice(_TIMEOUTS)

    def work() -> Any:
        return pilot.tell(
            place, charge.account.agent_id, "go", to=pilot.field[target].url, patience=timeout, then=urls
        )

    charge.parked = charge.parked and None  # the message wakes it, unless it waits
    return Move(
        "tour" if route else "dispatch, from its handler", target, work, None if route else False, len(route)
    )


def _under_way(pilot: Pilot, source: str, move: Move) -> Any:
    with pilot.traffic.moving(source, move.target):
        return move.work()


def _hurry(pilot: Pilot, place: str, move: Move) -> tuple[Outcome, Any]:
    """One of several moves at a time: it may find that the paglet has gone, and does not look for it."""
    try:
        return pilot.attempt(lambda: _under_way(pilot, place, move))
    except InvalidAgentError:
        return Outcome.UNKNOWN, None


def _move(pilot: Pilot, charge: Charge, move: Move) -> None:
    outcome, result = pilot.attempt(lambda: _under_way(pilot, charge.place, move))
    _book(pilot, charge, move, charge.parked, outcome, result)


def _book(
    pilot: Pilot, charge: Charge, move: Move, was_parked: bool | None, outcome: Outcome, result: Any
) -> None:
    account = charge.account
    url = _url(result)
    if outcome is Outcome.DONE and not url:
        # It said that it stayed, or the message waits until it is woken: then it goes.
        outcome = Outcome.REFUSED if result == "stayed" else Outcome.UNKNOWN
    pilot.books.count(move.name, outcome, f"{charge.about} to {move.target}, {result}")
    if outcome is Outcome.DONE and _waits(result):
        charge.parked = None  # and off by itself, sooner or later
        account.maybe_arrivals += 1 + move.more
    elif outcome is Outcome.DONE:
        charge.place = pilot.field.name_of(url)
        charge.parked = move.after
        account.maybe_arrivals += move.more
        account.hops += move.name != "retract"  # of a paglet that is here already, nothing is left to be done
        certain = move.name == "tour" or (
            was_parked is False and move.after is False and move.name != "retract"
        )
        account.arrivals += certain
        account.maybe_arrivals += not certain
    elif outcome is Outcome.UNKNOWN:
        charge.parked = None
        account.maybe_arrivals += 1 + move.more


def _url(place: Any) -> str:
    try:
        return place["host_url"]
    except (TypeError, KeyError):
        return ""


def _waits(place: Any) -> bool:
    return bool(place.get("queued"))


# --- parking, saving, notes


def park(pilot: Pilot, charge: Charge) -> None:
    """Deactivate it, so that messages wake it, or so that they wait."""
    takes_notes = pilot.random.random() < 0.6
    request = DeactivationRequest(policy=DeactivationPolicy(activate_on_message=not takes_notes))
    params = api.DeactivateParams(agent_id=charge.account.agent_id, request=request.to_wire())
    outcome, _ = pilot.attempt(lambda: pilot.ask(charge.place, api.PAGLETS_DEACTIVATE, params))
    pilot.books.count("deactivate", outcome, charge.about)
    charge.parked = True if outcome is Outcome.DONE else None
    if charge.parked and takes_notes:
        for _ in range(pilot.random.randrange(4)):
            note(pilot, charge)


def wake(pilot: Pilot, charge: Charge) -> None:
    """Activate it."""
    params = api.PagletParams(agent_id=charge.account.agent_id)
    outcome, _ = pilot.attempt(lambda: pilot.ask(charge.place, api.PAGLETS_ACTIVATE, params))
    pilot.books.count("activate", outcome, charge.about)
    charge.parked = False if outcome is Outcome.DONE else None
    if outcome is Outcome.DONE and charge.account.kind != "Tourist" and pilot.random.random() < 0.3:
        note(pilot, charge)


def save(pilot: Pilot, charge: Charge) -> None:
    """Have it count up, durably."""
    account = charge.account
    account.asked_to_save += 1
    outcome, count = _tell(pilot, charge, "save", by_way_of=_any_place(pilot, charge))
    if outcome is Outcome.DONE and isinstance(count, int):
        account.saved = count
        charge.parked = False


def note(pilot: Pilot, charge: Charge) -> None:
    """A message that has to be handled once: it waits in a durable queue, or its answer is durable."""
    if charge.account.kind == "Tourist":
        return  # its answers are not durable
    number = pilot.traffic.number()
    oneway = bool(charge.parked) and pilot.random.random() < 0.5
    charge.account.maybe_notes.add(number)

    def work() -> Any:
        return pilot.tell(charge.place, charge.account.agent_id, "note", oneway=oneway,
                          message_id=f"note-{number}", number=number)  # fmt: skip

    outcome, reply = pilot.attempt(work)
    waits = isinstance(reply, dict) and "queued" in reply
    if outcome is Outcome.DONE and not waits and oneway:
        outcome = Outcome.UNKNOWN  # it is in a mailbox, in memory
    way = "note that waits" if waits else "note with an answer"
    pilot.books.count(way, outcome, f"{number} for {charge.about}")
    if outcome is Outcome.DONE:
        charge.account.notes[number] = way
        charge.parked = charge.parked if waits else False
    else:
        charge.parked = None


def post(pilot: Pilot, charge: Charge) -> None:
    """A one-way message from a paglet to another one, whose host is away all the time: it goes by the outbox."""
    lives = {machine.name: machine.lives for machine in pilot.field}
    away = [each for each in pilot.fleet if pilot.field[each.place].dead and each.account.kind != "Tourist"]
    writers = [each for each in pilot.fleet if pilot.field[each.place].powered]
    if not away or not writers:
        save(pilot, charge)
        return
    receiver, writer = pilot.random.choice(away), pilot.random.choice(writers)
    machine = pilot.field[receiver.place]
    number = pilot.traffic.number()
    receiver.account.maybe_notes.add(number)
    outcome, reply = _tell(
        pilot, writer, "post", to=receiver.account.agent_id, url=machine.url, number=number
    )
    if outcome is not Outcome.DONE or reply != "posted":
        receiver.account.resent_notes.add(number)
    if machine.lives != lives[machine.name] or (outcome is Outcome.DONE and reply != "posted"):
        outcome = Outcome.UNKNOWN  # it was there in between, and may have taken the message into its memory
    way = "note by the outbox"
    pilot.books.count(way, outcome, f"{number} from {writer.about} for {receiver.about}")
    if outcome is Outcome.DONE:
        receiver.account.notes[number] = way


def _any_place(pilot: Pilot, charge: Charge) -> str:
    """Where it is, or sometimes where it was: then the message has to follow it."""
    return charge.place if pilot.random.random() < 0.7 else pilot.random.choice(pilot.field.names)


def _tell(
    pilot: Pilot, charge: Charge, kind: str, *, by_way_of: str = "", **args: Any
) -> tuple[Outcome, Any]:
    place = by_way_of or charge.place
    outcome, reply = pilot.attempt(lambda: pilot.tell(place, charge.account.agent_id, kind, **args))
    pilot.books.count(kind, outcome, f"{charge.about} by way of {place}, {reply}")
    return outcome, reply


ACTS: list[tuple[float, Callable[[Pilot, Charge], None]]] = [
    (6, send_off),
    (4, go),
    (4, tour),
    (3, retract),
    (2, wait_for),
    (1, stay),
    (1.5, race),
    (1, copy),
    (1.5, park),
    (2, wake),
    (2, save),
    (1.5, note),
    (2, post),
]
