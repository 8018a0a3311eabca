"""What a program says of a host is checked before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError
from paglets.runtime.host import Host
from paglets.runtime.settings import HostSettings

if TYPE_CHECKING:
    from pathlib import Path

NO_NAMES = ("", " ", "a b", "a/b", "a@b", "a:b", "a\n", "\u202ea", "x" * 64)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_a_name_that_no_host_can_have_leaves_nothing_behind(
    tmp_path: Path, temporary: Path, name: str
) -> None:
    with pytest.raises(HostError, match=r"is no host name: use up to 63 letters, digits and - _ \."):
        Host(name, mesh_dir=tmp_path / "mesh")
    with pytest.raises(HostError, match="is no host name"):
        Host.from_settings(HostSettings(name, tmp_path / "data"), mesh_dir=tmp_path / "mesh")
    assert list(tmp_path.iterdir()) == [temporary]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("port", [-1, 65536, 99999, 2**70])
def test_a_port_that_there_is_not_leaves_nothing_behind(tmp_path: Path, temporary: Path, port: int) -> None:
    with pytest.raises(HostError, match=f"{port} is no port: use 1 to 65535, or 0 for a free one"):
        Host("h", port=port, mesh_dir=tmp_path / "mesh")
    assert list(tmp_path.iterdir()) == [temporary]
    assert list(temporary.iterdir()) == []


def test_a_mesh_directory_that_cannot_be_leaves_nothing_behind(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "mesh").write_text("in the way")
    with pytest.raises(HostError, match="mesh"):
        Host("h", mesh_dir=tmp_path / "mesh")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("address", ["no.such.host.invalid", "zzz..", "a\0b", "x" * 64])
def test_an_address_that_cannot_be_found_is_told_and_leaves_nothing_behind(
    tmp_path: Path, temporary: Path, address: str
) -> None:
    host = Host("h", address, mesh_dir=tmp_path / "mesh")
    with pytest.raises(HostError, match="cannot listen on"):
        host.start_background()
    host.stop()
    assert list(temporary.iterdir()) == []


def test_without_a_directory_of_its_own_a_host_leaves_nothing_behind(tmp_path: Path, temporary: Path) -> None:
    with Host("h", mesh_dir=tmp_path / "mesh", tags=["GPU ", "arm", "gpu", ""]) as host:
        assert len(list(temporary.iterdir())) == 1
        assert host.tags == ("arm", "gpu")
        assert host.health()["tags"] == ["arm", "gpu"]
    assert list(temporary.iterdir()) == []
