"""A pilot has some paglets of its own, and is the only one to ask anything of them: so it knows what they must hold."""

from __future__ import annotations

import random
import threading
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import InvalidAgentError, PagletError, TransferError, TransferInDoubtError
from paglets.core.messages import ONEWAY, Message
from paglets.remote import api
from paglets.remote.wire.failures import HostAwayError
from tests.faults.laboratory.books import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import ThreadPoolExecutor

    from tests.faults.laboratory.books import Account, Books
    from tests.faults.laboratory.field import Field


_NOT_REACHED = "cannot reach unix:"
"""How it is told that there was no connection, so that nothing can have been heard."""


class Traffic:
    """The moves that are under way, for those who want to hit one; and numbers that nobody has had before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moves: dict[int, tuple[str, str]] = {}
        self._next = 0

    def number(self) -> int:
        """A number of one's own."""
        with self._lock:
            self._next += 1
            return self._next

    @contextmanager
    def moving(self, source: str, target: str) -> Generator[None]:
        """A paglet moves between those machines meanwhile."""
        number = self.number()
        with self._lock:
            self._moves[number] = source, target
        try:
            yield
        finally:
            with self._lock:
                del self._moves[number]

    def moves(self) -> list[tuple[str, str]]:
        """Source and target of all that are under way now."""
        with self._lock:
            return list(self._moves.values())


@dataclass
class Charge:
    """A paglet of a pilot."""

    account: Account
    place: str
    """The machine it was last known on."""
    parked: bool | None = False
    """None: nobody knows."""

    @property
    def about(self) -> str:
        """For the diary."""
        parked = {True: ", parked", None: ", parked perhaps", False: ""}[self.parked]
        return f"{self.account.agent_id} on {self.place}{parked}"


class Pilot(threading.Thread):
    """Does one thing after the other with its paglets until it is stopped."""

    def __init__(self, number: int, field: Field, books: Books, traffic: Traffic, *, seed: str,
                 aside: ThreadPoolExecutor, acts: Callable[[Pilot], None]) -> None:  # fmt: skip
        super().__init__(name=f"pilot-{number}", daemon=True)
        self.number = number
        self.field = field
        self.books = books
        self.traffic = traffic
        self.random = random.Random(seed)
        self.aside = aside
        self.fleet: list[Charge] = []
        self.stopping = threading.Event()
        self.broken = ""
        """The traceback of a mistake of the laboratory's own."""
        self._acts = acts

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                try:
                    self._acts(self)
                except InvalidAgentError:
                    self._find_all()
                except (PagletError, TimeoutError):
                    self.stopping.wait(0.05)
        except Exception:  # noqa: BLE001 - at the edge of a thread; shown at the end of the run
            self.broken = traceback.format_exc()

    # --- finding

    def reachable(self) -> list[Charge]:
        """Its paglets on machines that run, as far as it knows; most of the time: others are tried, too."""
        if self.random.random() < 0.1:
            return self.fleet
        machines = self.field.machines
        return [
            each for each in self.fleet if machines[each.place].powered and not machines[each.place].paused
        ]

    def _find_all(self) -> None:
        for charge in self.fleet:
            with suppress(PagletError):
                self.find(charge)

    def other_than(self, name: str) -> str:
        """Another machine."""
        return self.random.choice([each for each in self.field.names if each != name])

    def find(self, charge: Charge) -> str:
        """The machine that it is on, as far as can be seen."""
        for name in self.random.sample(self.field.names, len(self.field.names)):
            if self.field[name].paused or not self.field[name].powered:
                continue
            with suppress(PagletError):
                params = api.PagletParams(agent_id=charge.account.agent_id)
                self.field.ask(name, api.PAGLETS_INFO, params, timeout=3.0)
                charge.place = name
                return name
        raise PagletError(f"{charge.account.agent_id} is not to be seen now")

    # --- asking

    def attempt(self, work: Callable[[], Any]) -> tuple[Outcome, Any]:
        """Do something with a paglet; what came of it, and the result. One that is not there was not asked."""
        try:
            return Outcome.DONE, work()
        except InvalidAgentError:
            raise
        except TransferInDoubtError:
            return Outcome.UNKNOWN, None
        except TransferError as error:
            return Outcome.REFUSED, error
        except HostAwayError as error:
            self.stopping.wait(0.05)  # others have the processor meanwhile
            return (Outcome.AWAY if _NOT_REACHED in str(error) else Outcome.UNKNOWN), error
        except (PagletError, TimeoutError) as error:
            return Outcome.UNKNOWN, error

    def ask(self, name: str, method: str, params: msgspec.Struct, timeout: float = 20.0) -> Any:
        """Call an operation of a host."""
        return self.field.ask(name, method, params, timeout)

    def tell(self, name: str, agent_id: str, kind: str, timeout: float = 20.0, *, oneway: bool = False,
             message_id: str = "", **args: Any) -> Any:  # fmt: skip
        """Send a message by way of a host; the reply."""
        message = Message(kind, args)
        params = api.MessageParams(
            agent_id=agent_id,
            kind=kind,
            message_id=message_id or message.message_id,
            body=msgspec.Raw(msgspec.json.encode({"args": args})),
            message_type=ONEWAY if oneway else 0,
            timeout=timeout,
        )
        return self.ask(name, api.MESSAGE_SEND, params, timeout)
