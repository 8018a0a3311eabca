"""The pages about configuration and administration say what is so."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from paglets.config.startup import load_launch_config
from paglets.core.errors import HostError

if TYPE_CHECKING:
    from tests.host.support import Pair

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_admin_page_runs_as_it_stands(
    pair: Pair, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAGLETS_MESH_DIR", str(root / "mesh"))
    monkeypatch.setattr(sys, "path", [str(DOCS / "examples" / "counter"), *sys.path])
    (code,) = blocks("admin-client.md", "python")
    code = code.replace("https://10.0.0.5:8765", pair.a.address).replace(
        "https://10.0.0.6:8765", pair.b.address
    )
    exec(compile(code, "admin-client.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["cellar", "roof"]
    assert lines[2] == "3"
    assert any(line.endswith(" counter:Counter True") for line in lines[3:])


def test_the_configuration_page_shows_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "launch.toml"
    (text,) = blocks("configuration.md", "toml")
    path.write_text(text)
    config = load_launch_config(path)
    assert (len(config.resident_services), len(config.startup_agents)) == (2, 1)
    path.write_text(text.replace('"lazy"', '"eagre"'))
    with pytest.raises(HostError) as caught:
        load_launch_config(path)
    (sentence,) = blocks("configuration.md", "text")
    assert str(caught.value) == sentence.strip().replace("/etc/paglets/launch.toml", str(path))
    monkeypatch.chdir(DOCS / "examples")
    (code,) = blocks("configuration.md", "python")
    exec(compile(code, "configuration.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "paglets.system.mesh_info.agent:MeshInfo" in printed
    assert f"Discovery path does not exist: {Path.cwd() / 'agents'}" in printed
