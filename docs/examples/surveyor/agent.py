"""The surveyor: its state, what it does at each stop, and the messages it answers."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import HostError, NotHandledError, TransferError
from surveyor.survey import Findings, merge, survey_folder

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent
    from paglets.core.messages import Message

FOLDER_PROPERTY = "folder"


@dataclass
class SurveyorState(PagletState):
    """All that travels: the way still to go, and what was found so far."""

    keywords: list[str] = field(default_factory=lambda: ["license", "copyright", "warranty"])
    home: str = ""
    stops: list[str] = field(default_factory=list[str])
    """Hosts still to visit, in order. The last stop is home."""
    rest_at: str = ""
    """Stay at this host until told to go on."""
    findings: dict[str, Findings] = field(default_factory=dict[str, Findings])
    diary: list[str] = field(default_factory=list[str])
    helper_of: str = ""
    """Set in a clone: it surveys one folder and waits to be asked."""
    done: bool = False


class Surveyor(Paglet[SurveyorState]):
    """Visits its stops, surveys the folder that each host names, and comes home with one report.

    Messages: ``go {"stops": [...], "rest_at": name}`` starts the journey, ``go-on`` ends a rest,
    ``findings`` and ``report`` answer with data, ``merge {"findings": {...}}`` adds a helper's part.
    """

    State = SurveyorState

    def on_creation(self, event: CreationEvent) -> None:
        self.state.home = event.host_name
        self._note("created")

    def on_arrival(self, event: MobilityEvent) -> None:
        self._note(f"arrived from {event.source_host_name}")

    def on_dispatch_failed(self, event: MobilityEvent) -> None:
        self._note(f"could not reach {event.target_host_name}, staying here for now")

    def on_clone(self, event: CloneEvent) -> None:
        self.state.helper_of = event.source_agent_id
        self.state.stops = []
        self.state.findings = {}
        self.state.done = False

    def run(self) -> None:
        """One leg of the journey: look at what lies here, then go on."""
        here = self.context.name
        if here not in self.state.findings and (self.state.stops or self.state.helper_of):
            self._survey(here)
        if self.state.findings and not self.state.stops and not self.state.helper_of:
            self.state.done = True
        else:
            self._travel()

    def handle_message(self, message: Message) -> Any:
        if message.kind == "go":
            with self.locked_state() as state:
                state.stops = [*message.get_arg("stops"), state.home]
                state.rest_at = message.get_arg("rest_at", "")
            self.notify_all_state_changed()
            return {"stops": self.state.stops}
        if message.kind == "go-on":
            self.state.rest_at = ""
            self.notify_all_state_changed()
            return {"next": self.state.stops[0] if self.state.stops else None}
        if message.kind == "findings":
            return {name: asdict(found) for name, found in self.state.findings.items()}
        if message.kind == "merge":
            for name, found in message.get_arg("findings").items():
                self.state.findings[name] = Findings(**found)
            return sorted(self.state.findings)
        if message.kind == "report":
            merged = merge([self.state.findings[name] for name in sorted(self.state.findings)])
            return {
                "done": self.state.done,
                "hosts": sorted(self.state.findings),
                "total": asdict(merged),
                "diary": self.state.diary,
            }
        raise NotHandledError(f"a surveyor does not know the message {message.kind!r}")

    def _survey(self, here: str) -> None:
        folder = self.context.get_property(FOLDER_PROPERTY)
        if not folder:
            self._note("nothing to survey here")
            return
        found = survey_folder(Path(folder), self.state.keywords)
        with self.locked_state() as state:
            state.findings[here] = found
        self._note(f"read {found.files} files, {found.size_bytes} bytes")

    def _travel(self) -> None:
        """Go to the next stop; when it cannot be reached, wait for it and try again."""
        if self.state.helper_of:
            return
        here = self.context.name
        self.wait_state(lambda: bool(self.state.stops) and self.state.rest_at != here)
        while self.state.stops:
            target = self.state.stops[0]
            rest = self.state.stops[1:]
            self.state.stops = rest
            try:
                self.dispatch(target)
            except TransferError:
                self.state.stops = [target, *rest]
                self._wait_for(target)
            else:
                return

    def _wait_for(self, target: str) -> None:
        try:
            self.context.wait_for_host(target, timeout=30.0)
        except HostError:
            self._note(f"still waiting for {target}")
        self.wait_state(
            lambda: not self.state.stops, timeout=0.5
        )  # a host that has just come may not be ready

    def _note(self, what: str) -> None:
        """Write into the diary, once for the same thing again and again."""
        entry = f"{self.context.name}: {what}"
        with self.locked_state() as state:
            if not state.diary or not state.diary[-1].endswith(entry):
                state.diary.append(f"{time.strftime('%H:%M:%S')} {entry}")
