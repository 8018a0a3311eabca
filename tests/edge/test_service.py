"""What the appliance owes to its surroundings: notifications, signals, logs, a clean environment."""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edge import logs
from edge.environment import clean_env, without_service_variables
from edge.notify import Notifier
from edge.signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TestNotifier:
    @pytest.mark.parametrize("abstract", [False, True])
    def test_it_tells_the_manager(self, tmp_path: Path, *, abstract: bool) -> None:
        name = f"@paglets-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("\0" + name[1:] if abstract else name)
            manager.settimeout(5)
            environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000", "PATH": "/bin"}
            notifier = Notifier.from_environment(environ)
            assert environ == {"PATH": "/bin"}, "no child answers in our name"
            assert notifier.watchdog_seconds == 30
            notifier.ready("host a\nREADY=0")
            assert manager.recv(1000) == b"READY=1\nSTATUS=host a READY=0"
            notifier.watchdog()
            assert manager.recv(1000) == b"WATCHDOG=1"
            notifier.stopping()
            assert manager.recv(1000) == b"STOPPING=1"

    def test_without_a_manager_it_is_silent(self) -> None:
        notifier = Notifier.from_environment({"WATCHDOG_USEC": "1000000"})
        notifier.ready()
        assert notifier.watchdog_seconds is None

    def test_a_manager_that_is_gone_harms_nobody(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        Notifier(str(tmp_path / "gone")).ready()
        assert "cannot be told" in caplog.text

    def test_another_process_is_watched(self) -> None:
        environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
        assert Notifier.from_environment(environ).watchdog_seconds is None

    def test_what_is_no_number_is_not_waited_for(self) -> None:
        environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}
        assert Notifier.from_environment(environ).watchdog_seconds is None


def _take_a_signal(number: signal.Signals) -> None:
    """Send this process a signal that no other thread takes, once the others have come to rest."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    time.sleep(0.2)
    os.kill(os.getpid(), number)


class TestSignals:
    def test_the_first_signal_is_told_and_handlers_are_given_back(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with StopSignals() as signals:
            assert not signals.wait(0.001)
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.wait(5)
            assert signals.received == "SIGTERM"
        assert signal.getsignal(signal.SIGTERM) == before

    def test_one_that_comes_just_before_the_wait_ends_it(self) -> None:
        """It is taken by another thread, as by one that has not begun to wait: nothing interrupts the wait itself."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            with StopSignals() as signals:
                taker = threading.Thread(target=_take_a_signal, args=(signal.SIGTERM,))
                taker.start()
                assert signals.wait(5)
                assert signals.received == "SIGTERM"
                taker.join()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def test_it_is_stopped_by_other_threads(self) -> None:
        with StopSignals() as signals:
            stopper = threading.Timer(0.05, signals.stop)
            stopper.start()
            assert signals.wait(5)
            assert not signals.received
            stopper.join()
        signals.stop()  # late, and nobody waits

    def test_the_second_ends_the_process_at_once(self) -> None:
        code = (
            "import os, signal, threading\nfrom edge.signals import StopSignals\n"
            "with StopSignals() as signals:\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "    assert signals.wait(5)\n"
            "    os.kill(os.getpid(), signal.SIGTERM)\n"
            "    threading.Event().wait(20)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
        assert done.returncode == 128 + signal.SIGTERM
        assert b"second signal" in done.stderr


class TestLogs:
    @pytest.fixture(autouse=True)
    def given_back(self) -> Iterator[None]:
        """Leave the root logger as it was."""
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        yield
        root.handlers[:], root.level = handlers, level

    def written(self, environ: dict[str, str]) -> str:
        stream = io.StringIO()
        logs.configure(environ, stream)
        logger = logging.getLogger("paglets.test")
        logger.debug("little")
        logger.warning("something\nhappened", extra={"host": "alpha", "count": 3, "text": "a\x1b[2J"})
        return stream.getvalue()

    def test_a_line_has_time_level_message_and_fields(self) -> None:
        text = self.written({})
        assert text.endswith(" WARNING something\\nhappened host=alpha count=3 text=a\\x1b[2J\n")
        assert text[:2] == "20"
        assert "little" not in text

    def test_the_level_can_be_chosen(self) -> None:
        assert "little" in self.written({"PAGLETS_LOG": "debug"})
        assert self.written({"PAGLETS_LOG": "error"}) == ""
        assert "something" in self.written({"PAGLETS_LOG": "nonsense"})

    def test_the_journal_gets_priorities_and_no_time(self, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        with path.open("w") as stream:
            status = os.fstat(stream.fileno())
            logs.configure({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, stream)
            logger = logging.getLogger("paglets.test")
            logger.info("well", extra={"host": "alpha"})
            try:
                raise ValueError("bad")
            except ValueError:
                logger.exception("ill")
        lines = path.read_text().splitlines()
        assert lines[0] == "<6>well host=alpha"
        assert lines[1] == "<3>ill"
        assert lines[-1] == "<3>ValueError: bad"
        assert all(line.startswith("<3>") for line in lines[1:])


class TestEnvironment:
    def test_what_the_loader_changed_is_changed_back(self) -> None:
        changed = {"LD_LIBRARY_PATH": "/tmp/_MEI/lib", "LD_LIBRARY_PATH_ORIG": "/opt/lib", "A": "1"}
        assert clean_env(changed, frozen=True) == {"LD_LIBRARY_PATH": "/opt/lib", "A": "1"}

    def test_what_was_not_there_is_not_there(self) -> None:
        assert clean_env({"LD_LIBRARY_PATH": "/tmp/_MEI/lib", "A": "1"}, frozen=True) == {"A": "1"}
        assert clean_env({"LD_LIBRARY_PATH": "/m", "LD_LIBRARY_PATH_ORIG": ""}, frozen=True) == {}

    def test_from_source_nothing_is_changed(self) -> None:
        assert clean_env({"LD_LIBRARY_PATH": "/opt/lib"}) == {"LD_LIBRARY_PATH": "/opt/lib"}

    def test_a_subprocess_hears_nothing_of_the_manager(self) -> None:
        assert without_service_variables({"NOTIFY_SOCKET": "/x", "A": "1"}) == {"A": "1"}
