"""Calling a paglet's hooks: events out of the plain values that the host sent, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet
from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent, PersistencyEvent
from paglets.persistence.records import HookKind
from paglets.runtime.child_specs import DepartureKind
from paglets.serialization.values import from_json

if TYPE_CHECKING:
    Host = tuple[str, str]

_MOBILITY = (
    "source_host_name",
    "source_host_address",
    "target_host_name",
    "target_host_address",
    "reason",
    "timestamp",
)
_CLONE = (
    "source_agent_id",
    "clone_agent_id",
    "source_host_name",
    "source_host_address",
    "target_host_name",
    "target_host_address",
    "timestamp",
)


def arriving_hooks(paglet: Paglet[Any]) -> tuple[HookKind, ...]:
    """The hooks that may begin a life of this paglet, and that are not the base class's, which do nothing."""
    return tuple(kind for kind in HookKind if defines(paglet, f"on_{kind.value}"))


def defines(paglet: Paglet[Any], name: str) -> bool:
    """Whether that method of this paglet is another one than the base class's."""
    return getattr(getattr(paglet, name), "__func__", None) is not getattr(Paglet, name)


def run_arriving_hook(
    paglet: Paglet[Any], host: Host, kind: HookKind, fields: dict[str, Any], init: bytes
) -> None:
    """Run the hook that begins this life of the paglet. ``host``: name and address."""
    match kind:
        case HookKind.CREATION:
            paglet.on_creation(
                CreationEvent(paglet.agent_id, *host, **_only(fields, "timestamp"), init=from_json(init))
            )
        case HookKind.ARRIVAL:
            paglet.on_arrival(mobility_event(paglet, host, fields))
        case HookKind.CLONE:
            paglet.on_clone(clone_event(paglet, host, fields))
        case HookKind.ACTIVATION:
            paglet.on_activation(_persistency_event(paglet, host, fields))


def run_leaving_hook(
    paglet: Paglet[Any], host: Host, kind: DepartureKind, fields: dict[str, Any]
) -> dict[str, Any]:
    """Run the hook that goes before a snapshot; the wire form of the deactivation policy, if there is one."""
    match kind:
        case DepartureKind.DISPATCH:
            paglet.on_dispatching(mobility_event(paglet, host, fields))
        case DepartureKind.RETRACT:
            paglet.on_reverting(mobility_event(paglet, host, {"reason": "retract", **fields}))
        case DepartureKind.CLONE:
            paglet.on_cloning(clone_event(paglet, host, fields))
        case DepartureKind.DISPOSE:
            paglet.on_disposing(_persistency_event(paglet, host, {"reason": "dispose", **fields}))
        case DepartureKind.DEACTIVATE:
            return _park(paglet, host, fields)
        case DepartureKind.CHECKPOINT:
            pass
    return {}


def mobility_event(paglet: Paglet[Any], host: Host, fields: dict[str, Any]) -> MobilityEvent:
    """The event of a move; unknown fields are ignored."""
    return MobilityEvent(paglet.agent_id, *host, **_only(fields, *_MOBILITY))


def clone_event(paglet: Paglet[Any], host: Host, fields: dict[str, Any]) -> CloneEvent:
    """The event of a clone; unknown fields are ignored."""
    return CloneEvent(paglet.agent_id, *host, **_only(fields, *_CLONE))


def _park(paglet: Paglet[Any], host: Host, fields: dict[str, Any]) -> dict[str, Any]:
    request = DeactivationRequest.from_wire(fields.get("request") or {})
    policy = paglet.deactivation_policy(request)
    paglet.on_deactivating(
        PersistencyEvent(
            paglet.agent_id,
            *host,
            reason=fields.get("reason") or request.reason,
            request=request,
            policy=policy,
            **_only(fields, "timestamp"),
        )
    )
    return policy.to_wire()


def _persistency_event(paglet: Paglet[Any], host: Host, fields: dict[str, Any]) -> PersistencyEvent:
    request, policy = fields.get("request"), fields.get("policy")
    return PersistencyEvent(
        paglet.agent_id,
        *host,
        request=DeactivationRequest.from_wire(request) if request else None,
        policy=DeactivationPolicy.from_wire(policy) if policy else None,
        **_only(fields, "reason", "timestamp"),
    )


def _only(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}
