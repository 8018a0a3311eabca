"""The operations on copies that an operator adopts; see ``paglets.remote.api`` for what operations are."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from paglets.remote.api import Count, Params, Text

TRANSFERS_ADOPT = "transfers.adopt"
"""``AdoptTransferParams`` -> ``Adopted``. For people on this machine, and admins.

``HostError`` for what is not in doubt, and without ``fence``.
"""
COPIES_LIST = "copies.list"
"""``CopiesListParams`` -> ``{"copies": [CopyView], "notices": [...]}``: what is in quarantine on this host."""
COPIES_ADOPT = "copies.adopt"
"""``AdoptCopyParams`` -> ``Adopted``. For people on this machine, and admins."""
COPIES_DROP = "copies.drop"
"""``CopyParams`` -> ``{"agent_id", "life"}``: it is gone for good. For people on this machine, and admins."""


class AdoptTransferParams(Params, frozen=True):
    """Which transfer to adopt: its id, or the id of its paglet or the beginning of one."""

    transfer: Text
    fence: bool = False
    """The operator's statement that the copy at the target is lost, or may be put into quarantine if it is not."""


class CopyParams(Params, frozen=True):
    """Which copy in quarantine: the id of its paglet or the beginning of one, and its life if there are more."""

    copy: Text
    life: Text = ""


class AdoptCopyParams(CopyParams, frozen=True):
    """Which copy to adopt."""

    fence: bool = False
    """The operator's statement that this copy counts, and the one that it gave way to is to give way to it."""


class CopiesListParams(Params, frozen=True):
    """Copies in the order of their ids, from the one after ``cursor``."""

    limit: Annotated[int, Meta(ge=1)] = 1000
    cursor: Text = ""


class Adopted(msgspec.Struct, frozen=True):
    """A paglet that counts again."""

    agent_id: str
    status: str
    """``active`` or ``inactive``"""
    lineage: Count
    adopter: str
    epoch: Count
    transfer_id: str = ""
    """The transfer that was abandoned, to be asked about on."""
