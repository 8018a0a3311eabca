"""The operations on outboxes and dead letters; see ``paglets.remote.api`` for what operations are."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from paglets.remote.api import Count, MessageParams, Params, Text

OUTBOX_DELIVER = "outbox.deliver"
"""``OutboxDeliverParams`` -> ``OutboxAnswer``: a message that waited in the outbox of the asking host."""
OUTBOX_LIST = "outbox.list"
"""``NumberedListParams`` -> ``{"messages": [...], "cursor": int | null}``: what waits here for hosts that are away."""
OUTBOX_PAGLETS = "outbox.paglets"
"""``PagletsWaitingParams`` -> ``{"paglets": [...], "cursor": str | null}``: what waits to be moved there."""
DEAD_LETTERS_LIST = "dead-letters.list"
"""``NumberedListParams`` -> ``{"dead_letters": [...], "cursor": int | null}``: what could not be delivered."""
DEAD_LETTERS_REPLAY = "dead-letters.replay"
"""``DeadLetterParams`` -> ``{"message_id": str}``: it is on its way again, durably. ``HostError``: no such letter."""
DEAD_LETTERS_DROP = "dead-letters.drop"
"""``DeadLetterParams`` -> ``{"dropped": bool}``: it is gone for good."""


class OutboxDeliverParams(Params, frozen=True):
    """One message of an outbox. See ``docs/outbox.md``."""

    number: Annotated[int, Meta(ge=1, le=2**53)]
    """What the asking host knows it by, towards this host."""
    floor: Count
    """All its numbers to this host below are settled."""
    message: MessageParams


class OutboxAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """``accepted``, ``refused`` (final, both), ``later`` or ``closed``."""

    answer: Text
    reason: str = ""
    above: Count = 0
    """With ``closed``: the numbers up to this one are used up."""


class NumberedListParams(Params, frozen=True):
    """Which page to list: what has a number greater than ``cursor``."""

    limit: Annotated[int, Meta(ge=1)] = 1000
    cursor: Count = 0


class PagletsWaitingParams(Params, frozen=True):
    """Which page to list: what has an id greater than ``cursor``."""

    limit: Annotated[int, Meta(ge=1)] = 1000
    cursor: Text = ""


class DeadLetterParams(Params, frozen=True):
    """Names one dead letter."""

    number: Annotated[int, Meta(ge=1, le=2**53)]
