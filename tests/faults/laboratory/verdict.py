"""What was found is held against the books: what is lost, and what is doubled.

Lost is what was acknowledged and is nowhere: a paglet that was created or cloned (and not disposed of) and has no
live copy; an acknowledged move, checkpointed count or file that its paglet does not have; an accepted note that was
neither handled nor is a dead letter. Doubled is what is there more often than it may be: a second live copy; a
paglet that was disposed of, or that nobody asked for; a move that was reported as certainly not done, and was; a count
higher than was asked for; a note that was handled twice, or handled although it is a dead letter that does not
say that it may have been.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.laboratory.books import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.faults.laboratory.books import Account
    from tests.faults.laboratory.field import Copy


@dataclass(frozen=True)
class Look:
    """What a paglet tells of itself, in the end."""

    parent: str = ""
    arrivals: int = 0
    saved: int = 0
    heard: tuple[int, ...] = ()
    when: tuple[str, ...] = ()
    """Where and when, of each."""
    file: str = "none"


@dataclass(frozen=True)
class Findings:
    """Everything that is there when all has come to rest."""

    copies: Sequence[Copy]
    looks: Mapping[str, Look]
    dead: frozenset[int] = frozenset()
    """Numbers of notes that are dead letters."""
    dead_for_certain: frozenset[int] = frozenset()
    """Those that do not say that they may have been delivered."""


@dataclass
class Verdict:
    """What is lost and doubled, each in words."""

    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    moves: int = 0
    """Moves that the paglets have counted themselves."""


def judge(accounts: Mapping[str, Account], found: Findings) -> Verdict:
    """Hold what was found against what was acknowledged."""
    verdict = Verdict()
    often = Counter(copy.agent_id for copy in found.copies)
    for agent_id, account in accounts.items():
        if often[agent_id] == 0 and account.standing is Standing.THERE:
            verdict.lost.append(f"{agent_id} is nowhere")
        if often[agent_id] > 0 and account.standing is Standing.GONE:
            verdict.doubled.append(f"{agent_id} was disposed of, and is there: {_where(agent_id, found)}")
    for agent_id, number in often.items():
        if number > 1:
            verdict.doubled.append(f"{agent_id} is there {number} times: {_where(agent_id, found)}")
        if agent_id in accounts:
            _judge_one(accounts[agent_id], found, verdict)
    _judge_strangers(accounts, often, found, verdict)
    return verdict


def _judge_one(account: Account, found: Findings, verdict: Verdict) -> None:
    who, look = account.agent_id, found.looks[account.agent_id]
    verdict.moves += look.arrivals
    if look.arrivals < account.arrivals:
        verdict.lost.append(
            f"{who} has arrived {look.arrivals} times, and {account.arrivals} were acknowledged"
        )
    if look.arrivals > account.arrivals + account.maybe_arrivals:
        at_most = account.arrivals + account.maybe_arrivals
        verdict.doubled.append(
            f"{who} has arrived {look.arrivals} times, and {at_most} at most were not refused"
        )
    epoch = max(copy.epoch for copy in found.copies if copy.agent_id == who)
    if epoch < account.hops:
        verdict.lost.append(f"{who} is in epoch {epoch}, and {account.hops} moves were acknowledged")
    if look.saved < account.saved:
        verdict.lost.append(f"{who} has counted to {look.saved}, and {account.saved} was durable")
    if look.saved > account.asked_to_save:
        verdict.doubled.append(
            f"{who} has counted to {look.saved}, and was asked {account.asked_to_save} times"
        )
    if account.packed and look.file != "whole":
        verdict.lost.append(f"the file of {who} is {look.file}")
    _judge_notes(account, look, found, verdict)


def _judge_notes(account: Account, look: Look, found: Findings, verdict: Verdict) -> None:
    who, handled = account.agent_id, Counter(look.heard)
    for number in sorted(account.notes):
        if not handled[number] and number not in found.dead:
            verdict.lost.append(
                f"note {number} was accepted ({account.notes[number]}), and {who} has not handled it"
            )
    for number, times in handled.items():
        if times > 1 and number not in account.resent_notes:
            way = account.notes.get(number, "perhaps accepted")
            verdict.doubled.append(
                f"note {number} ({way}) was handled {times} times by {who}: {_times(look, number)}"
            )
        if number in found.dead_for_certain:
            verdict.doubled.append(f"note {number} was handled by {who}, and is a dead letter")
        if number not in account.maybe_notes | account.notes.keys():
            verdict.doubled.append(f"note {number} was handled by {who}, for whom it was not")


def _judge_strangers(
    accounts: Mapping[str, Account], often: Mapping[str, int], found: Findings, verdict: Verdict
) -> None:
    """Paglets without an account: clones of which nobody heard, at most as many as there may be."""
    clones = Counter(found.looks[agent_id].parent for agent_id in often if agent_id not in accounts)
    for parent, number in clones.items():
        allowed = accounts[parent].maybe_clones if parent in accounts else 0
        verdict.doubled += [f"a clone of {parent or 'nobody'} that nobody asked for"] * max(
            0, number - allowed
        )


def _where(agent_id: str, found: Findings) -> str:
    copies = [copy for copy in found.copies if copy.agent_id == agent_id]
    return ", ".join(
        f"{copy.host} ({copy.status}, lineage {copy.lineage}, epoch {copy.epoch})" for copy in copies
    )


def _times(look: Look, number: int) -> str:
    return ", ".join(when for heard, when in zip(look.heard, look.when, strict=True) if heard == number)
