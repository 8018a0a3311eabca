"""What a paglet class offers by itself, as plain data: a host imports no author's class to know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from paglets.core.errors import InvalidAgentError, SerializationError
from paglets.runtime.child.admission import paglet_class_of
from paglets.runtime.child.limits import apply_limits, decoding
from paglets.runtime.child_specs import ClassFacts, ServiceFacts
from paglets.serialization.codec import qualified_name
from paglets.serialization.values import to_json
from paglets.services.resident import ResidentServiceSpec

if TYPE_CHECKING:
    from paglets.core.agent import Paglet
    from paglets.runtime.child_specs import AdmitSpec


def describe(spec: AdmitSpec) -> ClassFacts:
    """Import a class, under the limits and the code policy of ``spec``, and say what it offers."""
    apply_limits(spec.limits)
    with decoding(spec.limits, 0):
        paglet_class = paglet_class_of(spec)
        services = declared_services(paglet_class, states=True)
    return ClassFacts(class_name=qualified_name(cast("type", paglet_class)), services=services)


def declared_services(paglet_class: type[Paglet[Any]], *, states: bool = False) -> tuple[ServiceFacts, ...]:
    """The ``RESIDENT_SERVICES`` of a class; ``InvalidAgentError`` when they are none."""
    declared = cast("object", paglet_class.RESIDENT_SERVICES)
    if not isinstance(declared, Sequence) or isinstance(declared, str):
        raise InvalidAgentError(
            f"{paglet_class.__qualname__}.RESIDENT_SERVICES must be a tuple of ResidentServiceSpec, not {declared!r}"
        )
    return tuple(_facts(paglet_class, each, states) for each in cast("Sequence[object]", declared))


def _facts(paglet_class: type[Paglet[Any]], spec: object, states: bool) -> ServiceFacts:  # noqa: FBT001 - private
    if not isinstance(spec, ResidentServiceSpec):
        raise InvalidAgentError(
            f"{paglet_class.__qualname__}.RESIDENT_SERVICES is made of ResidentServiceSpec, not of {spec!r}"
        )
    try:
        state = to_json(spec.state) if states else b"{}"
    except SerializationError as error:
        raise InvalidAgentError(
            f"the state that {paglet_class.__qualname__} names for {spec.contract.name!r}: {error}"
        ) from error
    return ServiceFacts(
        name=spec.contract.name,
        version=spec.contract.version,
        operations=spec.contract.capabilities,
        scope=spec.scope,
        lifecycle=spec.lifecycle,
        agent_id=spec.provider_id,
        singleton=spec.singleton,
        idle_timeout=float(spec.idle_timeout),
        state=state,
    )
