"""One paglet that sends a child to each of many hosts, and gathers what they find.

::

    self.fanout_reset(timeout=30)
    for host in self.fanout_select_hosts(request.hosts):
        self.fanout_prepare_clone(host)               # the state says "child of mine, for that host" ...
        try:
            self.fanout_record_child_proxy(host.name, self.clone_to(host.name))
        except PagletError as error:
            self.fanout_record_error(host.name, error)
        finally:
            self.fanout_finish_clone_prepare()        # ... only while the clone is made
    self.fanout_wait_for(lambda: not self.state.pending_hosts, wait_timeout=30)
    self.fanout_expire_pending("no answer in time")
    self.fanout_cleanup_children()

The child sees in ``on_clone`` whose child it is, works, and sends its parent a message; the parent's handler
calls ``fanout_record_done``. Handlers run one at a time: wait on another thread (``run()``, ``run_task``), or
in short pieces.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from paglets.core.agent import PagletState
from paglets.core.calling import bound
from paglets.core.errors import InvalidAgentError
from paglets.core.references import PagletProxyRef
from paglets.patterns.cursor_drain import CursorDrainMixin
from paglets.patterns.owners import StateOwnerOnHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paglets.core.context import PagletContext
    from paglets.patterns.owners import StateOwner
    from paglets.remote.mesh import HostRef
    from paglets.remote.proxy import PagletProxy

__all__ = ["ChildRoleState", "CursorDrainMixin", "MeshFanoutMixin", "MeshFanoutState"]

PARENT = "parent"
CHILD = "child"
_Role = tuple[str, str, str, str, str]
_TOP: _Role = (PARENT, "", "", "", "")


@dataclass
class ChildRoleState(PagletState):
    """State of a paglet that may be the child of another of its kind."""

    role: str = PARENT
    """``parent`` or ``child``."""
    parent_host_url: str = ""
    """Of a child: where its parent was when it was made."""
    parent_agent_id: str = ""
    target_host_name: str = ""
    """Of a child: the host that it was made for."""
    target_host_url: str = ""


@dataclass
class MeshFanoutState(ChildRoleState):
    """State of a paglet that has children on many hosts. Hosts are named by their mesh names."""

    deadline: float = 0.0
    """``time.monotonic()`` by which all shall be done; 0: none. Of no meaning on another machine."""
    pending_hosts: list[str] = field(default_factory=list[str])
    done_hosts: list[str] = field(default_factory=list[str])
    child_proxies: dict[str, PagletProxyRef] = field(default_factory=dict[str, PagletProxyRef])
    errors: dict[str, str] = field(default_factory=dict[str, str])
    """What went wrong, by host."""
    cleanup_errors: dict[str, str] = field(default_factory=dict[str, str])
    """Children that could not be disposed of, by host."""
    # By keyword only, so that the fields of subclasses come right behind those above.
    children_of: str = field(default="", kw_only=True)
    """Whose children these are: a clone's state comes with those of its parent. Kept by the mixin."""


class MeshFanoutOwner(StateOwnerOnHost[MeshFanoutState], Protocol):
    """What ``MeshFanoutMixin`` is mixed into."""

    fanout_role_before: _Role | None


FanoutStateT = TypeVar("FanoutStateT", bound=MeshFanoutState)


class MeshFanoutMixin:
    """For a paglet with a ``MeshFanoutState``."""

    fanout_role_before: _Role | None = None
    """What the role in the state was before ``fanout_prepare_clone``."""

    def fanout_reset(self: StateOwner[MeshFanoutState], *, timeout: float) -> None:
        """Begin anew, without children; all shall be done in ``timeout`` seconds."""
        with self.locked_state() as state:
            _forget(state)
            state.deadline = time.monotonic() + timeout
        self.notify_all_state_changed()

    def fanout_available_hosts(
        self: StateOwnerOnHost[MeshFanoutState], *, include_self: bool = True
    ) -> list[HostRef]:
        """The hosts of the mesh that are online."""
        return self.context.available_hosts(include_self=include_self)

    def fanout_select_hosts(
        self: StateOwnerOnHost[MeshFanoutState], targets: Iterable[str] | None, *, include_self: bool = True
    ) -> list[HostRef]:
        """Those of the available hosts that are named, by name or URL, in that order; all when none is named.

        One that is not available gets an entry in ``errors``.
        """
        available = self.context.available_hosts(include_self=include_self)
        wanted = list(dict.fromkeys(targets or ()))
        if not wanted:
            return available
        chosen: list[HostRef] = []
        for target in wanted:
            found = next(
                (ref for ref in available if target.rstrip("/") in {ref.name, ref.url.rstrip("/")}), None
            )
            if found is None:
                with self.locked_state() as state:
                    _settle(state, target, "this host is unknown or offline")
            elif found not in chosen:
                chosen.append(found)
        return chosen

    def fanout_prepare_clone(self: MeshFanoutOwner, host: HostRef) -> None:
        """Make the state that of a child for this host, until ``fanout_finish_clone_prepare``.

        From here on the host is pending.
        """
        context = self.context
        own_id = context.agent_id or ""
        with self.locked_state() as state:
            if state.children_of not in {"", own_id}:
                _forget(state)  # what a child's state came with is its parent's
            state.children_of = own_id
            if self.fanout_role_before is None:
                # Its own child: it came back from a checkpoint that was made while it prepared one.
                own_child = state.role == CHILD and state.parent_agent_id == own_id
                self.fanout_role_before = _TOP if own_child else _role(state)
            _set_role(state, (CHILD, context.address, own_id, host.name, host.url))
            if host.name not in state.pending_hosts:
                state.pending_hosts.append(host.name)

    def fanout_finish_clone_prepare(self: MeshFanoutOwner) -> None:
        """Make the role in the state again what it was before ``fanout_prepare_clone``."""
        with self.locked_state() as state:
            _set_role(state, self.fanout_role_before or _TOP)
            self.fanout_role_before = None

    def fanout_record_child_proxy(
        self: StateOwner[MeshFanoutState], name: str, proxy: PagletProxy | PagletProxyRef
    ) -> None:
        """Remember the child that was made for this host."""
        with self.locked_state() as state:
            state.child_proxies[name] = PagletProxyRef(proxy.host_url, proxy.agent_id)
        self.notify_all_state_changed()

    def fanout_record_error(self: StateOwner[MeshFanoutState], name: str, error: BaseException | str) -> None:
        """Nothing more is to be expected of this host: it failed."""
        with self.locked_state() as state:
            _settle(state, name, _text(error))
        self.notify_all_state_changed()

    def fanout_record_done(self: StateOwner[MeshFanoutState], name: str) -> None:
        """Nothing more is to be expected of this host: its child is done."""
        with self.locked_state() as state:
            _settle(state, name)
            if name not in state.done_hosts:
                state.done_hosts.append(name)
        self.notify_all_state_changed()

    def fanout_expire_pending(self: StateOwner[MeshFanoutState], error: BaseException | str) -> list[str]:
        """Give up those hosts that are still pending, with that error; which they were."""
        with self.locked_state() as state:
            late = list(state.pending_hosts)
            for name in late:
                _settle(state, name, _text(error))
        self.notify_all_state_changed()
        return late

    def fanout_wait_for(
        self: StateOwner[FanoutStateT],
        ready: Callable[[], object] | Callable[[FanoutStateT], object],
        *,
        wait_timeout: float,
    ) -> bool:
        """Wait until ``ready`` holds; at most so many seconds, and not beyond the deadline of the reset.

        ``ready`` is called with the state when it needs an argument, as in ``wait_state``.
        """
        deadline = self.state.deadline
        left = wait_timeout if not deadline else min(wait_timeout, deadline - time.monotonic())
        return self.wait_state(bound(ready, self.state), timeout=max(0.0, left))

    def fanout_cleanup_children(self: StateOwnerOnHost[MeshFanoutState]) -> None:
        """Dispose of the children; those that cannot be stay, with the reason in ``cleanup_errors``.

        Does nothing to the proxies that a child's state came with: those are its siblings.
        """
        context = self.context
        with self.locked_state() as state:
            own = state.children_of in {"", context.agent_id}
            children = dict(state.child_proxies) if own else {}
        for name, ref in children.items():
            failure = _dispose(context, ref)
            with self.locked_state() as state:
                if failure:
                    state.cleanup_errors[name] = failure
                else:
                    state.cleanup_errors.pop(name, None)
                    state.child_proxies.pop(name, None)
        self.notify_all_state_changed()


def _forget(state: MeshFanoutState) -> None:
    state.pending_hosts.clear()
    state.done_hosts.clear()
    for each in (state.errors, state.cleanup_errors):
        each.clear()
    state.child_proxies.clear()
    state.children_of = ""


def _role(state: ChildRoleState) -> _Role:
    return (
        state.role, state.parent_host_url, state.parent_agent_id, state.target_host_name, state.target_host_url,
    )  # fmt: skip


def _set_role(state: ChildRoleState, role: _Role) -> None:
    (
        state.role, state.parent_host_url, state.parent_agent_id, state.target_host_name, state.target_host_url,
    ) = role  # fmt: skip


def _settle(state: MeshFanoutState, name: str, error: str | None = None) -> None:
    if name in state.pending_hosts:
        state.pending_hosts.remove(name)
    if error is not None:
        state.errors[name] = error


def _dispose(context: PagletContext, ref: PagletProxyRef) -> str:
    """Dispose of a child; why that was not possible, or nothing."""
    try:
        proxy: Any = context.get_proxy(ref.agent_id, ref.host_url)
        if proxy is not None:
            proxy.dispose()
    except InvalidAgentError:
        return ""  # it has gone already
    except Exception as error:  # noqa: BLE001 - one child must not keep the others from their end
        return _text(error)
    return ""


def _text(error: BaseException | str) -> str:
    return error if isinstance(error, str) else f"{type(error).__name__}: {error}"
