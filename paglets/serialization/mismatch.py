"""How a misfit deep inside a value finds out where it is."""

from __future__ import annotations

from paglets.core.errors import SerializationError

_LONGEST_PATH = 200


class MismatchError(Exception):
    """A value does not fit. Never leaves this package; containers put their part of the path in front."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def at(self, part: str) -> MismatchError:
        """The same, seen from one level further out; ``part`` is ``.field`` or ``[key]``."""
        self.path = part + self.path
        return self

    def as_error(self, owner: str) -> SerializationError:
        """The error to raise, naming what was converted, where in it, and the problem."""
        path = self.path
        if len(path) > _LONGEST_PATH:
            path = f"{path[: _LONGEST_PATH // 2]}...{path[-_LONGEST_PATH // 2 :]}"
        return SerializationError(f"{owner}{path}: {self.problem}")


def expected(what: str, value: object) -> MismatchError:
    """The misfit of a value that is of the wrong type."""
    return MismatchError(f"expected {what}, got {type(value).__qualname__}")
