from __future__ import annotations

import dataclasses
import time

import pytest

from paglets.core.deactivation import DeactivationRequest
from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent, PagletEvent, PersistencyEvent


def test_events_have_their_fields_and_defaults():
    before = time.time()
    event = MobilityEvent("id", "h", "https://h:1")
    assert before <= event.timestamp <= time.time()
    assert (event.source_host_name, event.target_host_address, event.reason) == ("", "", "dispatch")
    assert CreationEvent("id", "h", "u", init=3).init == 3
    assert CloneEvent("id", "h", "u", source_agent_id="a", clone_agent_id="b").clone_agent_id == "b"
    request = DeactivationRequest()
    assert PersistencyEvent("id", "h", "u", request=request).request is request
    assert PersistencyEvent("id", "h", "u").reason == "deactivate"


def test_events_do_not_change():
    for cls in (PagletEvent, CreationEvent, MobilityEvent, CloneEvent, PersistencyEvent):
        event = cls("id", "h", "u")
        assert not hasattr(event, "__dict__")
        with pytest.raises(dataclasses.FrozenInstanceError):
            object.__getattribute__(event, "__setattr__")("agent_id", "other")
