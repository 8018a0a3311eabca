"""`paglets classes`: what can be created, without a host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

AGENTS = Path(__file__).with_name("agents")


def run(*arguments: str, cwd: Path = AGENTS) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from edge.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=50)


def test_classes_are_listed_for_people_and_for_programs() -> None:
    shown = run("classes", str(AGENTS))
    assert shown.returncode == 0
    assert "cli_samples:Notebook" in shown.stdout
    told = run("classes", str(AGENTS / "cli_samples.py"), "--json")
    document = json.loads(told.stdout)
    assert document["errors"] == []
    (notebook,) = [each for each in document["classes"] if each["class_name"] == "cli_samples:Notebook"]
    assert notebook.keys() == {
        "class_name",
        "state_class_name",
        "display_name",
        "description",
        "state_template",
        "required_state_fields",
    }


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("classes", "no/such/place", "nobody_has_this", cwd=tmp_path)
    assert done.returncode == 1
    assert f"Discovery path does not exist: {tmp_path / 'no/such/place'}" in done.stderr
    assert "No module named 'nobody_has_this'" in done.stderr
    partly = run("classes", "no/such/place", str(AGENTS), cwd=tmp_path)
    assert partly.returncode == 0
    assert "Discovery path does not exist" in partly.stderr
    assert run("classes").returncode == 2
