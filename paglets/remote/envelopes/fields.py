"""The kinds of values that signed bodies hold, with their bounds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from paglets.core.agent_ids import is_agent_id
from paglets.remote.trust.errors import InvalidKeyIdError, MalformedFrameError
from paglets.remote.trust.host_ids import check_host_id

Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256 in lower-case hex."""
MaybeDigest = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
Line = Annotated[str, msgspec.Meta(max_length=256)]
"""A short text for people or a name; printable."""
MAX_REASON = 300
Reason = Annotated[str, msgspec.Meta(max_length=MAX_REASON)]
MAX_COUNT = 2**53
Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
"""Counters and sizes stay where every JSON reader is exact."""


def check_key_id(text: str, what: str) -> None:
    """``MalformedFrameError`` unless the text is a key id."""
    try:
        check_host_id(text)
    except InvalidKeyIdError as error:
        raise MalformedFrameError(f"{what}: {error}") from error


def check_paglet_id(text: str, what: str) -> None:
    """``MalformedFrameError`` unless the text may be the id of a paglet."""
    if not is_agent_id(text):
        raise MalformedFrameError(f"{what} is none that a paglet may have")


def check_line(text: str, what: str, *, required: bool = True) -> None:
    """``MalformedFrameError`` unless the text is one printable line without outer blanks."""
    if not text.isprintable() or text != text.strip() or (required and not text):
        raise MalformedFrameError(f"{what} is empty or holds characters that nobody can see")


def check_class_name(text: str, what: str) -> None:
    """``MalformedFrameError`` unless the text reads ``module:Qual.Name``."""
    module, colon, qualname = text.partition(":")
    parts = [*module.split("."), *qualname.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise MalformedFrameError(f"{what} is no class name of the form module:Qual.Name")
