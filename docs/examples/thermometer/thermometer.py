"""A service with a typed contract, and a paglet that asks it from wherever it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.runtime_values import ServiceScope
from paglets.services.contracts import EmptyPayload, ServiceContract, ServiceOperation

if TYPE_CHECKING:
    from paglets.core.events import CreationEvent
    from paglets.core.messages import Message


@dataclass
class Calibration:
    """What to add to every reading, in degrees."""

    offset: float = 0.0


@dataclass
class Reading:
    """A temperature, and where it was taken."""

    celsius: float = 0.0
    place: str = ""


READ = ServiceOperation("read", EmptyPayload, Reading)
CALIBRATE = ServiceOperation("calibrate", Calibration, Reading)
THERMOMETER = ServiceContract("thermometer", (READ, CALIBRATE))


@dataclass
class ProbeState(PagletState):
    """What the probe knows."""

    raw: float = 20.0
    offset: float = 0.0


class Probe(Paglet[ProbeState]):
    """Offers THERMOMETER to the whole mesh for as long as it is here."""

    State = ProbeState

    def on_creation(self, event: CreationEvent) -> None:
        self.advertise_contract(THERMOMETER, scope=ServiceScope.MESH)

    def handle_message(self, message: Message) -> Any:
        return THERMOMETER.route(
            message, {READ: self._read, CALIBRATE: self._calibrate}, default=super().handle_message
        )

    def _read(self, _request: EmptyPayload) -> Reading:
        return Reading(self.state.raw + self.state.offset, self.context.name)

    def _calibrate(self, request: Calibration) -> Reading:
        self.state.offset = request.offset
        return self._read(EmptyPayload())


@dataclass
class DisplayState(PagletState):
    """What was shown last."""

    shown: list[str] = field(default_factory=list[str])


class Display(Paglet[DisplayState]):
    """Finds a thermometer anywhere in the mesh and shows what it says."""

    State = DisplayState

    def handle_message(self, message: Message) -> Any:
        if message.kind != "show":
            return self.not_handled()
        reading = self.require_contract(THERMOMETER, scope=ServiceScope.MESH).call(READ)
        text = f"{reading.celsius:.1f} °C in the {reading.place}"
        self.state.shown.append(text)
        return text
