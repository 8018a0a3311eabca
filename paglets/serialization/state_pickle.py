"""Plain state as pickle bytes that cannot name code."""

from __future__ import annotations

import io
import pickle
from typing import IO, Any

from paglets.core.errors import SerializationError


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise SerializationError(f"the state names {module_name}.{global_name}; a state is data only")

    def persistent_load(self, pid: object, /) -> Any:
        raise SerializationError("the state holds a persistent id; a state is data only")


def dump_state(wire: dict[str, Any], file: IO[bytes]) -> None:
    """Write plain values (what ``dataclass_to_wire`` returns) to a file, from where it stands."""
    pickle.dump(wire, file, protocol=5)


def load_state(source: bytes | bytearray | memoryview | IO[bytes]) -> dict[str, Any]:
    """Read what ``dump_state`` wrote; ``SerializationError`` for anything else."""
    file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    return _PlainUnpickler(file).load()
