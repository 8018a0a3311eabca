"""What the id of a paglet may look like: the same wherever one is chosen, told, or arrives."""

from __future__ import annotations

import re

from paglets.core.errors import InvalidAgentError

_SERVICE = "service."
_AGENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def is_agent_id(text: str) -> bool:
    """Whether it is 1 to 128 ASCII letters, digits and the marks ``. _ : -``."""
    return _AGENT_ID.fullmatch(text) is not None


def is_service_id(text: str) -> bool:
    """Whether it is an id of the kind that resident services of hosts have: ``service.<contract name>``.

    Every host may have one of its own under the same id, so what comes from elsewhere must not take its place.
    """
    return text.startswith(_SERVICE)


def check_agent_id(text: str) -> str:
    """The same text, if it may be an id; ``InvalidAgentError`` otherwise."""
    if _AGENT_ID.fullmatch(text) is None:
        raise InvalidAgentError(
            f"{text[:200]!r} is no paglet id: use up to 128 letters, digits and the marks . _ : -"
        )
    return text
