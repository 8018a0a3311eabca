"""A child handles messages one at a time, and its errors arrive as what they are."""

from __future__ import annotations

import asyncio

import pytest

from paglets.core.errors import HostError, NotHandledError, PagletError, SerializationError
from paglets.runtime.child_specs import Message
from tests.children.support import BOUND, TestHost, send


async def test_a_reply_comes_back(host: TestHost) -> None:
    child = await host.created()
    assert await send(child, "echo", {"a": [1, None, "ü"]}) == {"a": [1, None, "ü"]}
    assert await send(child, "notes") == ["creation None at here"]
