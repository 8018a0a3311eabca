"""Bringing a paglet to life: limits, classes, state. Whatever can fail, fails here, before any hook runs."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, cast

from paglets.core.agent import Paglet
from paglets.core.errors import HostError, InvalidAgentError, PagletError, SerializationError
from paglets.runtime.child.limits import address_space, apply_limits, decoding
from paglets.serialization.codec import dataclass_from_wire, qualified_name
from paglets.serialization.state_pickle import load_state
from paglets.serialization.values import from_json

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from paglets.runtime.child_specs import AdmitSpec, CodePolicy
    from paglets.runtime.memory_files import Payload


class Admission:
    """One paglet on its way in: its classes first, its state when that is here.

    ``size``: bytes of the state that will come; 0: ``spec`` has it.
    """

    def __init__(self, spec: AdmitSpec, size: int) -> None:
        apply_limits(spec.limits)
        self.spec = spec
        self._size = size or len(spec.state_json)
        self._base = address_space()
        self._classes: tuple[type[Paglet[Any]], type[Any]] | None = None
        self._failure: Exception | None = None

    def import_classes(self) -> None:
        """Import the classes. What goes wrong is raised by ``paglet``, when somebody waits for that."""
        try:
            # A module may do anything when it is imported, also eat memory.
            with self._decoding():
                paglet_class = paglet_class_of(self.spec)
                self._classes = (paglet_class, _state_class(self.spec, paglet_class))
        except Exception as error:  # noqa: BLE001 - whatever an author's module raises is why it cannot run here
            self._failure = error

    def paglet(self, payload: Payload | None) -> Paglet[Any]:
        """The paglet, attached to nothing yet.

        ``InvalidAgentError`` for a class that may not or cannot run here, ``SerializationError`` for a state that
        does not fit it.
        """
        try:
            paglet = self._made(payload)
        except MemoryError as error:
            raise SerializationError(
                f"the state of paglet {self.spec.agent_id} ({self._size} bytes) takes more memory than it may have"
            ) from error
        if paglet.agent_id != self.spec.agent_id:
            raise InvalidAgentError(f"{self.spec.class_name} does not pass agent_id on to Paglet.__init__")
        return paglet

    def _made(self, payload: Payload | None) -> Paglet[Any]:
        if self._classes is None:
            raise self._failure or HostError("the classes of this paglet were not imported")
        paglet_class, state_class = self._classes
        with self._decoding():
            wire = _wire(self.spec, payload)
            state = None if wire is None else dataclass_from_wire(state_class, wire)
            return paglet_class(state, agent_id=self.spec.agent_id)

    def _decoding(self) -> AbstractContextManager[None]:
        return decoding(self.spec.limits, self._size, self._base)


def load_payload(payload: Payload) -> dict[str, Any]:
    """The plain values of a state; ``SerializationError`` for anything else."""
    if payload.data is not None:
        return load_state(payload.data)
    with payload.open() as file:
        return load_state(file)


def _wire(spec: AdmitSpec, payload: Payload | None) -> dict[str, Any] | None:
    if payload is not None:
        return load_payload(payload)
    fields: object = from_json(spec.state_json)
    if fields is not None and not isinstance(fields, dict):
        raise SerializationError("a state is given as a JSON object, one member for each field")
    return cast("dict[str, Any] | None", fields)


def paglet_class_of(spec: AdmitSpec) -> type[Paglet[Any]]:
    """The class, imported; ``InvalidAgentError`` for one that may not or cannot run here."""
    found = _resolve(spec.class_name, spec.code)
    if not (isinstance(found, type) and issubclass(found, Paglet)):
        raise InvalidAgentError(f"{spec.class_name} is no subclass of Paglet")
    return cast("type[Paglet[Any]]", found)


def _state_class(spec: AdmitSpec, paglet_class: type[Paglet[Any]]) -> type[Any]:
    own: object = getattr(paglet_class, "State", None)
    if not isinstance(own, type) or not is_dataclass(own):
        raise InvalidAgentError(f"{spec.class_name} has no dataclass as its State")
    if not spec.state_class_name or spec.state_class_name == qualified_name(own):
        return own
    found = _resolve(spec.state_class_name, spec.code)
    if not (isinstance(found, type) and is_dataclass(found) and own in found.__mro__):
        raise InvalidAgentError(
            f"{spec.state_class_name} is no state of {spec.class_name}: {own.__qualname__} is"
        )
    return found


def _resolve(name: str, policy: CodePolicy) -> object:
    """Import the module, if it may run here, and find the class in it."""
    module_name, _, qualified = name.partition(":")
    if not module_name or not qualified:
        raise InvalidAgentError(f"{name!r} names no class; write MODULE:CLASS")
    if module_name == "__main__":
        raise InvalidAgentError(
            f"{qualified} is defined in the program's main script, which no other process can import; "
            "put it into a module of its own"
        )
    sys.path.extend(path for path in policy.search if path not in sys.path)
    if not _may_run(module_name, policy):
        raise InvalidAgentError(
            f"module {module_name} is on none of this host's code paths ({', '.join(policy.roots or ())})"
        )
    try:
        found: object = importlib.import_module(module_name)
        for part in qualified.split("."):
            found = getattr(found, part)
    except MemoryError:
        raise
    except PagletError:
        raise
    except AttributeError as error:
        raise InvalidAgentError(f"module {module_name} has no {qualified}") from error
    except Exception as error:
        raise InvalidAgentError(
            f"module {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return found


def _may_run(module_name: str, policy: CodePolicy) -> bool:
    """Whether the top package of the module is allowed or lies under one of the roots; imports nothing."""
    if policy.roots is None or module_name.partition(".")[0] in policy.packages:
        return True
    top = module_name.partition(".")[0]
    try:
        # The top package only: looking for a submodule would import its parents.
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return True  # the import says better what is missing
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    roots = [os.path.join(os.path.realpath(root), "") for root in policy.roots]  # noqa: PTH118 - see below
    # os.path, and not pathlib: each child does this, before it can do anything else.
    return bool(places) and all(os.path.realpath(place).startswith(tuple(roots)) for place in places)
