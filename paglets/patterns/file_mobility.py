"""Paglets that bring a file to another host.

::

    proxy = context.create_paglet(SingleFileTransferPaglet, FileTransferState())
    client = TaskClient.for_paglet(proxy, SingleFileTransferPaglet)
    request = FileTransferRequest("/var/log/today.log", "/srv/logs/", target_host="archive")
    snapshot = client.start_and_wait(request, timeout=60)

The paglet starts beside the source, takes the file along, and ends at the target. The source of a move is
deleted last: whatever goes wrong before that leaves it where it is. A host that is killed in the very moment
in which the file reaches its destination makes the transfer fail with "destination already exists": the hook
that saves it runs again.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from paglets.core.errors import HostError, PagletError
from paglets.patterns import file_copying
from paglets.patterns.file_transfers import (
    FileTransferArrival,
    FileTransferEndpoint,
    FileTransferMode,
    FileTransferPlan,
    FileTransferRequest,
    FileTransferResult,
    FileTransferSource,
    FileTransferState,
    format_bytes,
)
from paglets.patterns.notifications import NotificationMixin, NotificationSeverity, Notifier
from paglets.patterns.operations import OperationClient
from paglets.patterns.owners import StateOwnerOnHost
from paglets.patterns.source_keeper import (
    KEEP_SECONDS,
    RELEASE_SOURCE,
    ReleaseRequest,
    SourceKeeper,
    SourceKeeperState,
    delete_source,
)
from paglets.patterns.tasks import TaskPaglet, TaskStatus

if TYPE_CHECKING:
    from paglets.artifacts.file_refs import PagletFileRef
    from paglets.core.events import MobilityEvent
    from paglets.remote.mesh import HostRef
    from paglets.remote.proxy import PagletProxy

__all__ = [
    "FileMobilityMixin", "FileTransferArrival", "FileTransferEndpoint", "FileTransferMode", "FileTransferPlan",
    "FileTransferRequest", "FileTransferResult", "FileTransferSource", "FileTransferState",
    "SingleFileTransferPaglet", "format_bytes",
]  # fmt: skip

logger = logging.getLogger(__name__)


class FileMover(StateOwnerOnHost[FileTransferState], Notifier, Protocol):
    """What ``FileMobilityMixin`` is mixed into: a ``TaskPaglet`` with a ``FileTransferState``."""

    registered_file_name: str
    notification_title: str

    def register_file(self, path: str, *, name: str | None = None, mode: str = "copy") -> PagletFileRef: ...
    def registered_files(self) -> list[PagletFileRef]: ...
    def unregister_file(self, name_or_ref: str, /) -> object: ...
    def file_path(self, name_or_ref: str, /) -> Path: ...
    def set_task_status(self, status: TaskStatus, *, done: bool | None = None) -> None: ...
    def notify_user_info(
        self, severity: NotificationSeverity, title: str, message: str, *, job_id: str = ""
    ) -> bool: ...
    def require_transfer_target(self, request: FileTransferRequest, /) -> HostRef: ...
    def stat_transfer_source(self, request: FileTransferRequest, /) -> FileTransferSource: ...
    def resolve_destination_path(self, destination_path: str, file_name: str, /) -> Path: ...
    def atomic_copy_file(
        self, source: Path, destination: Path, *, overwrite: bool = False, permissions: int | None = None
    ) -> Path: ...
    def build_transfer_result(
        self, plan: FileTransferPlan, /, destination: FileTransferEndpoint | None = None
    ) -> FileTransferResult: ...


class FileMobilityMixin(NotificationMixin):
    """The steps of bringing one file along, for tasks that do it in their own way."""

    registered_file_name: str = "file"
    """The name under which the file travels."""
    notification_title: str = "File transfer"

    # --- at the source -----------------------------------------------------------------------------------

    def require_transfer_target(self: FileMover, request: FileTransferRequest) -> HostRef:
        """The host that the file shall go to; ``HostError`` when none is named, or it is unknown or offline."""
        if not request.target_host:
            raise HostError("a file transfer needs a target host")
        host = self.context.host_status(request.target_host)
        if host is None or not host.online:
            why = "unknown here" if host is None else "offline"
            raise HostError(f"the target host {request.target_host} is {why}")
        return host

    def stat_transfer_source(self: FileMover, request: FileTransferRequest) -> FileTransferSource:
        """The file as it is now; ``OSError`` or ``ValueError`` when it cannot be transferred."""
        context = self.context
        return file_copying.stat_source(request.source_path, host_name=context.name, host_url=context.address)

    def prepare_file_transfer(self: FileMover, request: FileTransferRequest) -> FileTransferPlan:
        """Look at source and target, and change nothing; raises as the two methods above."""
        source = self.stat_transfer_source(request)
        host = self.require_transfer_target(request)
        request = dataclasses.replace(request, transfer_id=request.transfer_id or uuid.uuid4().hex)
        path = request.destination_path or source.endpoint.path
        return FileTransferPlan(request, source, FileTransferEndpoint(host.name, host.url, path))

    def remember_transfer_request(self: FileMover, plan: FileTransferPlan) -> None:
        """Put the plan into the state, for the copy that arrives."""
        with self.locked_state() as state:
            state.plan = plan

    def register_planned_file(self: FileMover, plan: FileTransferPlan) -> PagletFileRef:
        """Register the file to travel along. As a copy: the source of a move goes when the file has arrived."""
        _drop_file(self)
        return self.register_file(plan.source.endpoint.path, name=self.registered_file_name, mode="copy")

    def mark_waiting_for_arrival(self: FileMover) -> None:
        """Say that the task goes on at the target."""
        self.set_task_status(TaskStatus.WAITING_FOR_ARRIVAL)

    def build_transfer_result(
        self, plan: FileTransferPlan, destination: FileTransferEndpoint | None = None
    ) -> FileTransferResult:
        """The result of a plan; without a destination, that of a dry run."""
        return FileTransferResult(
            transfer_id=plan.request.transfer_id,
            mode=plan.request.mode,
            dry_run=plan.request.dry_run,
            source=plan.source.endpoint,
            destination=destination or plan.target,
            file_name=plan.source.file_name if destination is None else Path(destination.path).name,
            size_bytes=plan.source.size_bytes,
            size=format_bytes(plan.source.size_bytes),
        )

    # --- at the target -----------------------------------------------------------------------------------

    def resolve_destination_path(self, destination_path: str, file_name: str) -> Path:
        """The file that a destination means on this host: a directory takes the file's name."""
        return file_copying.destination_of(destination_path, file_name)

    def atomic_copy_file(
        self,
        source: str | Path,
        destination: str | Path,
        *,
        overwrite: bool = False,
        permissions: int | None = None,
    ) -> Path:
        """Copy a file so that it is there whole or not at all; where it is now.

        ``FileExistsError`` ("destination already exists") when it may not replace what is there.
        """
        place = Path(destination)
        file_copying.copy_file(Path(source), place, overwrite=overwrite, permissions=permissions)
        return place

    def current_transfer_arrival(self: FileMover) -> FileTransferArrival | None:
        """The file that came with the paglet, and has not been saved yet."""
        plan = self.state.plan
        found = [ref for ref in self.registered_files() if ref.name == self.registered_file_name]
        if plan is None or not found:
            return None
        return FileTransferArrival(plan, str(self.file_path(self.registered_file_name)), found[0].sha256)

    def save_arrived_file(self: FileMover, arrival: FileTransferArrival) -> FileTransferResult:
        """Copy the file to its destination; ``OSError`` or ``ValueError`` when that cannot be."""
        plan = arrival.plan
        place = self.atomic_copy_file(
            Path(arrival.path),
            self.resolve_destination_path(plan.target.path, plan.source.file_name),
            overwrite=plan.request.overwrite,
            permissions=plan.source.permissions,
        )
        info = place.stat()
        context = self.context
        return self.build_transfer_result(
            plan,
            FileTransferEndpoint(context.name, context.address, str(place), info.st_ctime, info.st_mtime),
        )

    # --- telling people ----------------------------------------------------------------------------------

    def notify_transfer_info(self: FileMover, message: str) -> bool:
        """Tell people how it goes; whether somebody was told."""
        return _tell(self, NotificationSeverity.INFO, message)

    def notify_transfer_error(self: FileMover, message: str) -> bool:
        """Tell people that it failed; whether somebody was told."""
        return _tell(self, NotificationSeverity.ERROR, message)


class SingleFileTransferPaglet(
    FileMobilityMixin, TaskPaglet[FileTransferRequest, FileTransferResult, FileTransferState]
):
    """Brings one file to another host, or to another place on this one."""

    State = FileTransferState
    Request = FileTransferRequest
    Result = FileTransferResult

    def run_task(self, request: FileTransferRequest) -> FileTransferResult | PagletProxy | None:
        """Transfer the file; ends at the target, where the result says where it is."""
        plan = self.prepare_file_transfer(request)
        if request.dry_run:
            return self.build_transfer_result(plan)
        if plan.target.host_url == self.context.address:
            return self._within_this_host(plan)
        self.remember_transfer_request(plan)
        self.register_planned_file(plan)
        try:
            if request.mode is FileTransferMode.MOVE:
                self._leave_keeper(plan)
            self.mark_waiting_for_arrival()
            return self.dispatch(plan.target.host_url)
        except (PagletError, OSError):
            self._end(delete=False)
            raise

    def on_arrival(self, event: MobilityEvent) -> None:
        """Save the file, and settle what becomes of the source."""
        del event
        arrival = self.current_transfer_arrival()
        if arrival is None or self.state.done:
            return
        try:
            result = self.save_arrived_file(arrival)
        except (OSError, ValueError) as error:
            self._end(delete=False)
            self.fail_task(error)
            self.notify_transfer_error(f"{_name(arrival.plan)}: {error}")
            return
        kept = self._end(delete=True, sha256=arrival.sha256)
        if kept:
            self.fail_task(f"the file is at {result.destination.path}, but its source was kept: {kept}")
            self.notify_transfer_error(f"{_name(arrival.plan)}: the source was kept: {kept}")
            return
        self.complete_task(result)
        there = arrival.plan.request.destination_label or result.destination.path
        self.notify_transfer_info(f"{_name(arrival.plan)} is at {there} on {result.destination.host_name}")

    def _within_this_host(self, plan: FileTransferPlan) -> FileTransferResult:
        result = self.save_arrived_file(FileTransferArrival(plan, plan.source.endpoint.path))
        kept = delete_source(plan.source, "") if plan.request.mode is FileTransferMode.MOVE else ""
        if kept:
            raise HostError(f"the file is at {result.destination.path}, but its source was kept: {kept}")
        return result

    def _leave_keeper(self, plan: FileTransferPlan) -> None:
        if self.state.source_keeper:
            return  # of a run that was interrupted
        keeper = self.context.create_paglet(
            SourceKeeper, SourceKeeperState(plan.source, keep_until=time.time() + KEEP_SECONDS)
        )
        with self.locked_state() as state:
            state.source_keeper = keeper.agent_id

    def _end(self, *, delete: bool, sha256: str = "") -> str:
        """Let go of the file that came along, and of the source; why that is still there, if it should not be."""
        _drop_file(self)
        with self.locked_state() as state:
            plan, keeper_id = state.plan, state.source_keeper
            state.source_keeper = ""
        if plan is None or not keeper_id:
            return ""
        try:
            # By the host's name: its address may be another by now.
            keeper = self.context.get_proxy(keeper_id, plan.source.endpoint.host_name)
            if keeper is None:
                return "nobody is left there to delete it" if delete else ""
            request = ReleaseRequest(delete=delete, sha256=sha256)
            return OperationClient(keeper).call(RELEASE_SOURCE, request).reason
        except PagletError as error:
            logger.warning(
                "a file's source cannot be settled", extra={"agent_id": self.agent_id}, exc_info=True
            )
            return str(error) if delete else ""


def _drop_file(mover: FileMover) -> None:
    """Forget the file that travels, if there is one: of an earlier request, or once it is saved."""
    if any(ref.name == mover.registered_file_name for ref in mover.registered_files()):
        mover.unregister_file(mover.registered_file_name)


def _tell(mover: FileMover, severity: NotificationSeverity, message: str) -> bool:
    plan = mover.state.plan
    job_id = "" if plan is None else plan.request.transfer_id
    return mover.notify_user_info(severity, mover.notification_title, message, job_id=job_id)


def _name(plan: FileTransferPlan) -> str:
    return plan.request.source_label or plan.source.endpoint.path
