from __future__ import annotations

import math
import time
from typing import Any

import pytest

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import SerializationError
from paglets.core.policies import CheckpointMode, CheckpointPolicy, RestartMode, RestartPolicy


def test_the_defaults_are_lifecycle_points_and_five_restarts_a_minute():
    assert CheckpointPolicy() == CheckpointPolicy.lifecycle()
    assert RestartPolicy() == RestartPolicy.on_crash(5, 60.0)


def test_restarts_back_off_and_end():
    policy = RestartPolicy.on_crash(3)
    delays = [policy.delay(crashes) for crashes in range(1, 5)]
    assert delays == [0.1, 0.2, 0.4, None]
    assert RestartPolicy.never().delay(1) is None
    assert RestartPolicy(max_restarts=10_000).delay(9_999) == 10.0


@pytest.mark.parametrize(
    "policy",
    [
        CheckpointPolicy(),
        CheckpointPolicy.every_message(),
        CheckpointPolicy.at_most_every(2.5),
        RestartPolicy(),
        RestartPolicy.never(),
    ],
)
def test_policies_cross_the_wire(policy: CheckpointPolicy | RestartPolicy):
    assert type(policy).from_wire(policy.to_wire()) == policy


def test_impossible_policies_are_refused():
    for seconds in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="interval"):
            CheckpointPolicy.at_most_every(seconds)
    impossible: list[dict[str, Any]] = [{"max_restarts": -1}, {"window": 0.0}, {"backoff": 20.0}]
    for fields in impossible:
        with pytest.raises(ValueError, match="restart policy"):
            RestartPolicy(**fields)


@pytest.mark.parametrize("wrong", [{"mode": "sometimes"}, {"mode": 1}, {"mode": "interval"}, []])
def test_malformed_policies_are_refused(wrong: Any):
    with pytest.raises(SerializationError, match="CheckpointPolicy"):
        CheckpointPolicy.from_wire(wrong)


def test_a_policy_is_made_of_members():
    fields: dict[str, Any] = {"mode": "lifecycle"}
    with pytest.raises(TypeError):
        CheckpointPolicy(**fields)
    assert RestartPolicy(RestartMode.NEVER).mode == "never"
    assert CheckpointMode.EVERY_MESSAGE == "every-message"


def test_after_wakes_the_paglet_later():
    policy = DeactivationPolicy.after(30, activate_on_message=False)
    assert policy.activate_at is not None
    assert 29 < policy.activate_at - time.time() <= 30
    assert not policy.activate_on_message


def test_a_deactivation_request_crosses_the_wire():
    request = DeactivationRequest("night", "self", DeactivationPolicy(activate_on_startup=True), {"by": "me"})
    assert DeactivationRequest.from_wire(request.to_wire()) == request
    assert DeactivationRequest.from_wire({}) == DeactivationRequest()
    for wrong in ({"policy": 3}, {"reason": None}, {"policy": {"activate_at": "soon"}}):
        with pytest.raises(SerializationError):
            DeactivationRequest.from_wire(wrong)
