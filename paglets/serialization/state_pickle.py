"""Plain state as pickle bytes that cannot name code.

What is written is a pickle of protocol 5 that holds plain values only: exact ``dict``, ``list``, ``str``,
``int``, ``float``, ``bool``, ``None``, ``bytes`` and ``bytearray``, no container twice. What is read may come
from anywhere. No global and no persistent id is admitted, so nothing in it can name code, and what comes out
is plain or a ``SerializationError``.

**Memory is not bounded here.** A few bytes (``LONG_BINPUT`` with a huge index, a length that is a lie) make
any unpickler ask for gigabytes. A scan of the opcodes in front would cost twice the load itself, so the
process that reads has to have a limit of its own (``RLIMIT_AS``); asking for more than that is a
``SerializationError`` like any other.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from paglets.core.errors import SerializationError
from paglets.serialization.plain import LEAVES, shown
from paglets.serialization.trees import CONTAINERS, levels

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 1000
"""How deep a state may nest."""

_PLAIN = LEAVES | CONTAINERS | {bytearray}


def dump_state(wire: dict[str, Any], file: IO[bytes]) -> None:
    """Write plain values (what ``dataclass_to_wire`` returns) to a binary file, from where it stands.

    Raises ``SerializationError``, naming the place, for what is not plain, holds itself or is nested too
    deeply; then nothing is written.
    """
    if not _is_plain(wire):
        raise SerializationError(_complaint(wire))
    try:
        pickle.Pickler(file, protocol=5).dump(wire)
    except RecursionError:
        raise SerializationError("the state is nested too deeply") from None


def load_state(source: bytes | bytearray | memoryview | IO[bytes]) -> dict[str, Any]:
    """Read what ``dump_state`` wrote, from bytes or from a binary file, which must hold nothing more.

    Raises ``SerializationError`` for anything else. The process must have a memory limit.
    """
    file = io.BytesIO(source) if isinstance(source, (bytes, bytearray, memoryview)) else source
    # Extension codes that some code registered, and used, would be found in this cache without find_class.
    copyreg.clear_extension_cache()
    try:
        state: Any = _PlainUnpickler(file).load()
        rest = file.read(1)
    except SerializationError:
        raise
    except MemoryError:
        raise SerializationError("the state asks for more memory than this process may have") from None
    except Exception as error:
        raise SerializationError(f"these bytes are no state: {type(error).__name__}: {error}") from error
    if rest:
        raise SerializationError("there are bytes behind the end of the state")
    if type(state) is not dict or not _is_plain(state):
        raise SerializationError("these bytes hold something else than the fields of a state")
    return cast("dict[str, Any]", state)


class _PlainUnpickler(pickle.Unpickler):
    """The C unpickler, with both of its doors to code shut."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        named = shown(f"{module_name}.{global_name}")
        raise SerializationError(f"the state names {named}; a state is data, and names no code")

    def persistent_load(self, pid: object, /) -> NoReturn:
        raise SerializationError(f"the state refers to {shown(pid)} outside of it; a state is complete")


def _is_plain(value: Any) -> bool:
    """Whether it is a plain tree: no container twice, so none in itself, and none shared a million times."""
    seen: set[int] = set()
    count = 0
    for depth, level in enumerate(levels(value)):
        if depth > MAX_DEPTH or not level.kinds <= _PLAIN:
            return False
        seen.update(map(id, level.containers))
        count += len(level.containers)
        if len(seen) != count:
            return False
    return True


def _complaint(wire: Any) -> str:
    """Why it is no plain tree, and where; depth first, so that a cycle is named where it closes."""
    seen: set[int] = set()
    pending = [("", wire, 0)]
    while pending:
        path, value, depth = pending.pop()
        if type(value) not in _PLAIN:
            return f"state{path}: a {type(value).__qualname__} is no plain value"
        if type(value) in CONTAINERS:
            if id(value) in seen:
                return f"state{path}: this {type(value).__name__} is in the state twice, or in itself"
            if depth > MAX_DEPTH:
                return f"the state is nested more than {MAX_DEPTH} deep"
            seen.add(id(value))
            pending.extend((path + where, part, depth + 1) for where, part in _parts(value))
    return "the state is not plain"


def _parts(container: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(container, list):
        for index, part in enumerate(cast("list[Any]", container)):
            yield f"[{index}]", part
    else:
        for key, part in container.items():
            yield f"[{shown(key)}] (key)", key
            yield f"[{shown(key)}]", part
