"""Parked paglets as values."""

from __future__ import annotations

import time
from dataclasses import dataclass

from paglets.core import deactivation
from paglets.core.messages import Message
from paglets.persistence.persistency import (
    DeactivationPolicy,
    DeactivationRequest,
    InactiveRecord,
    QueuedMessage,
)


@dataclass
class Envelope:
    agent_id: str


def test_policies_and_requests_are_the_cores_own() -> None:
    assert DeactivationPolicy is deactivation.DeactivationPolicy
    assert DeactivationRequest is deactivation.DeactivationRequest


def test_an_inactive_record_is_that_of_its_envelope() -> None:
    before = time.time()
    parked = InactiveRecord(Envelope("a"), DeactivationPolicy(), DeactivationRequest(reason="night"))
    assert parked.agent_id == "a"
    assert parked.queued_messages == []
    assert before <= parked.deactivated_at <= time.time()


def test_a_queued_message_remembers_when_and_how_it_came() -> None:
    before = time.time()
    waiting = QueuedMessage(Message("ping"))
    assert not waiting.oneway
    assert before <= waiting.queued_at <= time.time()
