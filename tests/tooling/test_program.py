"""The program itself is the process that imports authors' modules, frozen or not; and what it names is there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from paglets.config.bundled import BUNDLED_CLASSES
from paglets.remote.admin import AgentDiscoveryConfig
from paglets.tooling.discovery import discover_agent_classes
from paglets.tooling.inspected import WAY, inspecting_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_frozen_program_starts_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("1/0")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    program, *arguments = inspecting_command(5.0, str(tmp_path))
    assert program == sys.executable
    assert arguments[0] == WAY
    monkeypatch.delattr(sys, "frozen")
    done = subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        input=json.dumps({"name": "broken", "file": ""}) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0
    assert "ZeroDivisionError" in json.loads(done.stdout)["errors"][0]


def test_every_class_that_a_launch_configuration_can_use_is_there() -> None:
    modules = [name.partition(":")[0] for name in BUNDLED_CLASSES.values()]
    result = discover_agent_classes(AgentDiscoveryConfig(modules=modules))
    assert result.errors == []
    assert {record.class_name for record in result.agent_classes} >= set(BUNDLED_CLASSES.values())
