"""The operations on a host's store; see ``paglets.remote.api`` for what operations are."""

from __future__ import annotations

from paglets.remote.api import Params, Text

STORE_DAMAGED = "store.damaged"
"""``NoParams`` -> ``{"damaged": [{"id", "table", "key", "reason"}], "total": int}``: what is in quarantine."""
STORE_FORGET = "store.forget"
"""``ForgetParams`` -> ``{"forgotten": {"id", "table", "key", "reason"}}``; only from this machine. ``HostError``."""


class ForgetParams(Params, frozen=True):
    """Names one thing in quarantine."""

    id: Text
