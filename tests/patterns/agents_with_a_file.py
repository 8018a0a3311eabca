"""Paglets that bring a file along in their own way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paglets.patterns.file_mobility import (
    FileMobilityMixin,
    FileTransferRequest,
    FileTransferResult,
    FileTransferState,
    SingleFileTransferPaglet,
)
from paglets.patterns.tasks import TaskPaglet
from paglets.remote.mesh import HostRef

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent
    from paglets.remote.proxy import PagletProxy


class Shouting(FileMobilityMixin, TaskPaglet[FileTransferRequest, FileTransferResult, FileTransferState]):
    """Brings a text file, and saves it in capitals."""

    State = FileTransferState
    Request = FileTransferRequest
    Result = FileTransferResult
    registered_file_name = "text"
    notification_title = "Shouting"

    def run_task(self, request: FileTransferRequest) -> FileTransferResult | PagletProxy | None:
        plan = self.prepare_file_transfer(request)
        self.remember_transfer_request(plan)
        self.register_planned_file(plan)
        self.mark_waiting_for_arrival()
        return self.dispatch(plan.target.host_url)

    def on_arrival(self, event: MobilityEvent) -> None:
        arrival = self.current_transfer_arrival()
        if arrival is None:
            self.fail_task("nothing came along")
            return
        text = Path(arrival.path)
        text.write_text(text.read_text().upper())
        self.complete_task(self.save_arrived_file(arrival))
        assert not self.notify_transfer_info("nobody listens")
        assert not self.notify_transfer_error("nobody listens")


class Gullible(SingleFileTransferPaglet):
    """Believes that there is a host where there is none."""

    def require_transfer_target(self, request: FileTransferRequest) -> HostRef:
        if request.target_host != "gone":
            return super().require_transfer_target(request)
        return HostRef(
            "gone", "https://127.0.0.1:1", "1", online=True, last_seen=0.0, active_count=0, inactive_count=0
        )
