"""The processes that use most of a machine."""

from __future__ import annotations

import heapq
import time

import psutil

from paglets.system.server_info.contract import (
    MAX_PROCESSES,
    ProcessInfo,
    ProcessList,
    ProcessListRequest,
    ProcessOrder,
)
from paglets.system.server_info.readings import reading

_CPU_SECONDS = 0.2
_MAX_NAME = 128


def read_processes(request: ProcessListRequest) -> ProcessList:
    """Takes a fifth of a second when it is by processor use."""
    limit = max(1, min(request.limit, MAX_PROCESSES))
    none: list[psutil.Process] = []
    processes = reading(lambda: list(psutil.process_iter()), none)
    if request.sort_by is ProcessOrder.MEMORY:
        weighed = [(float(_memory(each)), each.pid, each) for each in processes]
    else:
        weighed = _by_cpu(processes)
    most = heapq.nlargest(limit, weighed, key=lambda each: each[:2])
    by_cpu = request.sort_by is ProcessOrder.CPU
    return ProcessList([_told(process, use if by_cpu else None) for use, _, process in most], len(processes))


def _by_cpu(processes: list[psutil.Process]) -> list[tuple[float, int, psutil.Process]]:
    """Percent of a processor, by the difference of two looks."""
    before = {each.pid: _cpu_seconds(each) for each in processes}
    began = time.monotonic()
    time.sleep(_CPU_SECONDS)
    weighed: list[tuple[float, int, psutil.Process]] = []
    took = time.monotonic() - began
    for process in processes:
        first, second = before[process.pid], _cpu_seconds(process)
        used = 0.0 if first is None or second is None else max(0.0, second - first)
        weighed.append((100.0 * used / took, process.pid, process))
    return weighed


def _cpu_seconds(process: psutil.Process) -> float | None:
    times = reading(process.cpu_times, None)
    return None if times is None else times.user + times.system


def _memory(process: psutil.Process) -> int:
    return reading(lambda: process.memory_info().rss, 0)


def _told(process: psutil.Process, cpu_percent: float | None) -> ProcessInfo:
    return ProcessInfo(
        pid=process.pid,
        name=reading(process.name, "")[:_MAX_NAME],
        username=reading(process.username, "")[:_MAX_NAME],
        status=str(reading(process.status, "")),
        cpu_percent=None if cpu_percent is None else round(cpu_percent, 1),
        memory_bytes=_memory(process),
        threads=reading(process.num_threads, 0),
        started_at=reading(process.create_time, None),
    )
