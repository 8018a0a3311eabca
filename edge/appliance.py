"""The appliance: a host, its zygote, discovery and the service manager, wired together and run until stopped."""

# The zygote is forked before anything of the host is imported, so that it stays small, and before any
# thread exists; therefore the imports within functions.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING

from edge import start_note
from edge.compiled import keep_compiled
from edge.footprint import keep_connections_small, keep_one_heap, shared_with_forks
from edge.launching import own_launch_config
from edge.notify import Notifier
from edge.signals import StopSignals
from paglets.core.errors import PagletError
from paglets.runtime.launchers.zygote import fork_zygote
from paglets.runtime.launchers.zygote_process import prepare_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.settings import ApplianceSettings
    from paglets.core.context_events import ContextEvent
    from paglets.remote.discovery import Discovery
    from paglets.runtime.host import Host
    from paglets.runtime.launchers.zygote import Zygote

logger = logging.getLogger(__name__)

_OPEN_FILES = 65_536
"""What the soft limit is raised to, where the hard one allows: a paglet costs its host two descriptors."""

_LOOK_AGAIN = 0.02


def run(settings: ApplianceSettings, *, prepared: bool = False) -> int:
    """Run a host with these settings until SIGTERM or SIGINT; the exit code.

    ``prepared``: the code that children run has been prepared in this process (``zygote_process.prepare_code``).

    0: stopped cleanly, its active paglets parked until the next start. 1: it could not start, or a write to its
    store failed half-way and only a new start tells what the disk holds; why is logged.
    """
    notifier = Notifier.from_environment()
    if getattr(sys, "frozen", False):
        keep_compiled(settings.data_dir)
    if not prepared:
        prepare_code()
    with shared_with_forks():
        return _run(settings, notifier, fork_zygote(prepared=True))


def _run(settings: ApplianceSettings, notifier: Notifier, zygote: Zygote) -> int:
    with StopSignals() as signals:
        try:
            host = _start(settings, zygote)
        except PagletError as error:
            logger.critical("the host cannot start: %s", error)
            if not _is_in_use(error):
                start_note.leave(settings.socket_path, str(error))
            zygote.close()
            return 1
        start_note.clear(settings.socket_path)
        try:
            failure = StoreFailure(signals.stop)
            host.add_listener(failure.heard, kinds={"store-fault"})
            if _wait_ready(host, signals):
                _announce(host, settings, notifier)
            while not signals.wait(notifier.watchdog_seconds):
                host.status()  # asks the loop, so that a host that hangs is not reported as well
                notifier.watchdog()
            logger.info("stopping", extra={"signal": signals.received, "error": failure.why})
        finally:
            notifier.stopping()
            host.shutdown()
    return 1 if failure.why and not signals.received else 0


class StoreFailure:
    """Ends a host whose store failed half-way in a write, so that its service manager starts it anew.

    Not when nothing had been written since its start: then the next one would end in the same way, and the host
    stays to tell what is the matter.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self.why = ""

    def heard(self, event: ContextEvent) -> None:
        """An event of the host; on its listeners' thread."""
        if event.data.get("what") == "failed" and event.data["has_written"]:
            self.why = event.error or "the store failed"
            self._stop()


def _is_in_use(error: PagletError) -> bool:
    """Another host has the directory, and is the one to be asked about it."""
    from paglets.persistence.errors import StoreInUseError

    return isinstance(error, StoreInUseError)


def _announce(host: Host, settings: ApplianceSettings, notifier: Notifier) -> None:
    status = host.status()
    if settings.as_json:
        sys.stdout.write(json.dumps(status) + "\n")
        sys.stdout.flush()
    problem = f"; {status['degraded']}" if status["degraded"] else ""
    notifier.ready(f"host {host.name} at {host.address}{problem}")
    logger.info(
        "ready" if status["ready"] else "up, but not ready",
        extra={"host": host.name, "address": host.address, "host_id": host.host_id, "problem": problem[2:]},
    )


def _start(settings: ApplianceSettings, zygote: Zygote) -> Host:
    from paglets.runtime.host import Host
    from paglets.runtime.host_setup import launches
    from paglets.runtime.launchers.zygote_launcher import launcher_of
    from paglets.runtime.settings import HostSettings

    _raise_file_limit()
    keep_connections_small()
    keep_one_heap()
    launch = launches(settings.launch_config or own_launch_config(settings.data_dir))

    def on_network_change() -> None:
        host.network_changed()

    host = Host.from_settings(
        HostSettings(
            name=settings.name,
            data_dir=settings.data_dir,
            bind=settings.bind,
            port=settings.port,
            socket_path=settings.socket_path,
            mesh_version=settings.mesh_version,
            peers=settings.peers,
            code_paths=settings.code_paths,
            startup_agents=launch.startup_agents,
            resident_services=launch.resident_services,
            tags=settings.tags,
            properties=settings.properties,
        ),
        mesh_dir=settings.mesh_dir,
        launcher=launcher_of(zygote),
        discoveries=_discoveries(settings, on_network_change),
    )
    host.start_background()
    return host


def _wait_ready(host: Host, signals: StopSignals) -> bool:
    """Wait until the paglets of its last life are back, which is bounded; False when it is to stop before.

    One whose store cannot be written is not waited for.
    """
    while not ((status := host.status())["ready"] or (status["open"] and status["degraded"])):
        if signals.wait(_LOOK_AGAIN):
            return False
    return True


def _discoveries(settings: ApplianceSettings, on_network_change: Callable[[], None]) -> list[Discovery]:
    """Multicast DNS for the network, a folder for this machine; without them, own addresses are followed still."""
    if not settings.discovery:
        from edge.discovery.address_watch import AddressWatch

        return [AddressWatch(on_network_change=on_network_change)]
    from edge.discovery.zeroconf_discovery import ZeroconfDiscovery
    from paglets.remote.rendezvous import RENDEZVOUS_FOLDER, Rendezvous

    return [
        ZeroconfDiscovery(on_network_change=on_network_change),
        Rendezvous(settings.mesh_dir / RENDEZVOUS_FOLDER),
    ]


def _raise_file_limit() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
