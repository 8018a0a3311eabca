"""The server-info service: how the machine of a host is.

::

    load = self.require_contract(SERVER_INFO).call(LOAD)
"""

from __future__ import annotations

from paglets.system.server_info.contract import (
    DF,
    LOAD,
    MAX_FILE_SYSTEMS,
    MAX_PROCESSES,
    PLIST,
    SERVER_INFO,
    SERVER_INFO_AGENT_ID,
    SUMMARY,
    FileSystem,
    FileSystems,
    Load,
    ProcessInfo,
    ProcessList,
    ProcessListRequest,
    ProcessOrder,
    Summary,
)

__all__ = [
    "DF",
    "LOAD",
    "MAX_FILE_SYSTEMS",
    "MAX_PROCESSES",
    "PLIST",
    "SERVER_INFO",
    "SERVER_INFO_AGENT_ID",
    "SUMMARY",
    "FileSystem",
    "FileSystems",
    "Load",
    "ProcessInfo",
    "ProcessList",
    "ProcessListRequest",
    "ProcessOrder",
    "Summary",
]
