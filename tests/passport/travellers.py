"""Paglets for the tests of passports. A module of its own, because their processes import it."""

from __future__ import annotations

from dataclasses import dataclass

from paglets.core.agent import Paglet, PagletState


@dataclass
class Luggage(PagletState):
    pieces: int = 0


class Traveller(Paglet[Luggage]):
    """Goes where it is sent."""

    State = Luggage
