"""One paglet that calls another host without end leaves places to the others."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from paglets.core.errors import HostError
from paglets.runtime.outward_calls import OutwardCalls


def test_one_paglet_has_three_quarters_of_the_places_to_one_host_and_its_own_to_each() -> None:
    calls = OutwardCalls(limit=16)
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(calls.place("https://one", "greedy"))
        with pytest.raises(HostError, match="12 calls of paglet greedy to https://one are under way"):
            stack.enter_context(calls.place("https://one", "greedy"))
        stack.enter_context(calls.place("https://one", "modest"))
        stack.enter_context(calls.place("https://two", "greedy"))
        assert calls.share.used == 14
        assert calls.share.refused == 1
    assert calls.share.used == 0
    with calls.place("https://one", "greedy"):
        assert calls.share.used == 1
