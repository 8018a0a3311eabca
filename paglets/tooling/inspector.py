"""Asks another process about modules, within bounds, and starts a new one when it is lost."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Self

import msgspec

from paglets.tooling.class_records import ModuleAnswer
from paglets.tooling.inspected import inspecting_command

if TYPE_CHECKING:
    from types import TracebackType

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""The longest description of one module."""
_START = 20.0  # seconds that the first answer may take longer: an interpreter starts


class InspectorLostError(Exception):
    """The process ended, hung, or answered with what is no answer; its text says which."""


class Inspector:
    """One process with ``root`` on its ``sys.path``; started by the first question, ended by ``close``."""

    def __init__(self, root: str, timeout: float) -> None:
        self._root = root
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None

    def ask(self, name: str, file: str) -> ModuleAnswer:
        """What ``inspected.inspect_module`` answers; ``InspectorLostError``, after which it can be asked again."""
        allowed = self._timeout
        if self._process is None:
            allowed += _START
            self._start()
        try:
            return self._asked(name, file, allowed)
        except InspectorLostError:
            self.close()
            raise

    def close(self) -> None:
        """End the process, and what it has started. May be called twice."""
        process, reader = self._process, self._reader
        self._process = self._reader = None
        if process is None or reader is None:
            return
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is process.stdout:
                reader.join()
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        process = subprocess.Popen(  # noqa: S603 - this program itself
            inspecting_command(self._timeout, self._root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._answers = queue.SimpleQueue()
        self._reader = threading.Thread(
            target=_read, args=(process.stdout, self._answers), name="paglets-inspector", daemon=True
        )
        self._reader.start()
        self._process = process

    def _asked(self, name: str, file: str, allowed: float) -> ModuleAnswer:
        process = self._process
        if process is None or process.stdin is None:
            raise InspectorLostError("it was never started")
        try:
            process.stdin.write(json.dumps({"name": name, "file": file}).encode() + b"\n")
            process.stdin.flush()
            line = self._answers.get(timeout=allowed)
        except queue.Empty:
            raise InspectorLostError(f"its import was not done after {self._timeout:g} s") from None
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise InspectorLostError(
                "the process that imported it ended" if len(line) < MAX_ANSWER_BYTES else "it says too much"
            )
        try:
            return msgspec.json.decode(line, type=ModuleAnswer)
        except msgspec.MsgspecError as error:
            raise InspectorLostError(f"the process that imported it said something else: {error}") from None


def _read(stream: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """On a thread of its own, because pipes cannot be waited for everywhere; ends with the stream."""
    while True:
        line = stream.readline(MAX_ANSWER_BYTES)
        answers.put(line)
        if not line.endswith(b"\n"):
            return
