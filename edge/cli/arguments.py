"""Arguments of commands, read and checked before any host is asked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import msgspec

from edge.cli.failures import UsageError
from paglets.core.agent_ids import check_agent_id
from paglets.core.errors import InvalidAgentError
from paglets.remote.transfer import MAX_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence


class PagletName(NamedTuple):
    """How a person names a paglet: an id or the beginning of one, and, for resident services, a host."""

    prefix: str
    host: str = ""
    """Mesh name or URL; empty: wherever it is."""

    def __str__(self) -> str:
        return f"{self.prefix}@{self.host}" if self.host else self.prefix


def paglet_name(text: str) -> PagletName:
    """Read ``ID`` or ``ID@HOST``; ``UsageError`` for anything else."""
    prefix, at, host = text.partition("@")
    if not prefix or (at and not host) or not text.isprintable() or " " in text:
        raise UsageError(f"{text!r} names no paglet; write its ID, the beginning of it, or ID@HOST")
    return PagletName(prefix, host)


def fresh_id(text: str) -> str:
    """Check the id that a paglet shall have; ``UsageError`` for what cannot be one."""
    try:
        return check_agent_id(text)
    except InvalidAgentError as error:
        raise UsageError(f"--id: {error}") from None


def host_name(text: str) -> str:
    """Check what shall name a host; ``UsageError`` for what cannot."""
    if not text.strip() or not text.isprintable():
        raise UsageError(f"{text!r} names no host; write its name in the mesh, or its URL")
    return text


def class_name(text: str) -> str:
    """Check ``MODULE:CLASS``; ``UsageError`` for anything else."""
    module, colon, name = text.partition(":")
    parts = [*module.split("."), *name.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise UsageError(f"{text!r} names no class; write MODULE:CLASS, surveyor.agent:Surveyor for example")
    return text


def directory(text: str) -> Path:
    """Read the path of a directory; ``UsageError`` for none, which would be the one that we are in."""
    if not text or "\0" in text:
        raise UsageError(f"{text!r} names no directory; name one, or leave the option out")
    return Path(text)


def json_value(text: str, what: str) -> msgspec.Raw:
    """Check that ``text`` is one JSON value, and pass it on as it is; else ``UsageError`` naming ``what``."""
    _decoded(text, what)
    return msgspec.Raw(text.strip().encode())


def json_object(text: str, what: str) -> msgspec.Raw:
    """The same for a JSON object."""
    value = _decoded(text, what)
    if not isinstance(value, dict):
        raise UsageError(f"{what} must be a JSON object such as '{{\"key\": 1}}', not {_kind(value)}")
    return msgspec.Raw(text.strip().encode())


def seconds(value: float, what: str) -> float:
    """Check a time span; ``UsageError`` naming ``what`` for what is none."""
    if not math.isfinite(value) or value <= 0:
        raise UsageError(f"{what} must be a number of seconds greater than 0")
    if value > MAX_SECONDS:
        raise UsageError(f"{what} must be at most {MAX_SECONDS:.0f} seconds")
    return value


def properties(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` pairs; the last one of a key counts. ``UsageError`` for anything else."""
    result: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--property {pair!r}: write KEY=VALUE")
        result[key.strip()] = value
    return result


def _decoded(text: str, what: str) -> Any:
    try:
        text.encode()
        value: Any = json.loads(text, parse_constant=_refuse_constant)
        msgspec.json.decode(text)  # as hosts read it: no half of a surrogate pair, no number over all bounds
    except UnicodeEncodeError:
        raise UsageError(f"{what} is not valid UTF-8") from None
    except RecursionError:
        raise UsageError(f"{what} is nested too deeply") from None
    except json.JSONDecodeError as error:
        where = f"at character {error.colno}: {error.msg}"
        raise UsageError(
            f'{what} is no JSON ({where}); quote it for the shell, \'{{"key": "text"}}\''
        ) from None
    except (ValueError, msgspec.MsgspecError) as error:
        raise UsageError(f"{what} is no JSON: {error}") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names: dict[type[Any], str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
    }
    return names.get(type(value), "something else")
