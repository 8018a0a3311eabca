"""Where a host keeps what it owns, and where it is found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.directories import (
    MAX_SOCKET_PATH,
    SYSTEM_DATA_DIR,
    data_dirs_to_try,
    host_data_dir,
    mesh_dir,
    socket_candidates,
    socket_path,
    user_data_dir,
)
from paglets.core.errors import HostError

EVERYTHING = {"STATE_DIRECTORY": "/state:/second", "PAGLETS_DATA_DIR": "/variable"}


class TestDataDirectory:
    def test_the_option_comes_first(self) -> None:
        assert host_data_dir(Path("/option"), EVERYTHING) == Path("/option")

    def test_then_the_first_of_systemds(self) -> None:
        assert host_data_dir(None, EVERYTHING) == Path("/state")

    def test_then_the_environments(self) -> None:
        assert host_data_dir(None, {"PAGLETS_DATA_DIR": "/variable"}) == Path("/variable")

    def test_then_the_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", "/home/u/.data")
        assert host_data_dir(None, {}) == user_data_dir() == Path("/home/u/.data/paglets")

    def test_empty_variables_count_for_nothing(self) -> None:
        assert host_data_dir(None, {"STATE_DIRECTORY": "", "PAGLETS_DATA_DIR": ""}) == user_data_dir()

    def test_it_is_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", "/home/u")
        assert host_data_dir(Path("here"), {}) == tmp_path / "here"
        assert host_data_dir(Path("~/there"), {}) == Path("/home/u/there")


class TestWhereCommandsLook:
    def test_only_where_they_are_told_to(self) -> None:
        assert data_dirs_to_try(Path("/option"), EVERYTHING) == [Path("/option")]
        assert data_dirs_to_try(None, EVERYTHING) == [Path("/variable")]

    def test_else_at_the_users_host_and_then_at_the_systems(self) -> None:
        assert data_dirs_to_try(None, {}) == [user_data_dir(), SYSTEM_DATA_DIR]


class TestMeshDirectory:
    def test_option_then_environment_then_configuration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", "/home/u/.conf")
        monkeypatch.delenv("PAGLETS_MESH_DIR", raising=False)
        environ = {"PAGLETS_MESH_DIR": "/variable", "HOME": "/home/u"}
        assert mesh_dir(Path("/option"), environ) == Path("/option")
        assert mesh_dir(None, environ) == Path("/variable")
        assert mesh_dir(None, {"HOME": "/home/u"}) == Path("/home/u/.conf/paglets/mesh")

    @pytest.mark.parametrize("home", [{}, {"HOME": "/"}])
    def test_a_service_without_a_home_keeps_it_with_its_state(self, home: dict[str, str]) -> None:
        assert mesh_dir(None, {"STATE_DIRECTORY": "/state", **home}) == Path("/state/mesh")

    def test_a_service_with_a_home_shares_its_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", "/home/u/.conf")
        monkeypatch.delenv("PAGLETS_MESH_DIR", raising=False)
        found = mesh_dir(None, {"STATE_DIRECTORY": "/state", "HOME": "/home/u"})
        assert found == Path("/home/u/.conf/paglets/mesh")


class TestSocket:
    def test_it_is_in_the_sessions_directory(self) -> None:
        assert socket_path(Path("/data"), {"XDG_RUNTIME_DIR": "/run/user/7"}).parent == Path(
            "/run/user/7/paglets"
        )

    def test_a_services_own_directory_comes_first(self) -> None:
        environ = {"RUNTIME_DIRECTORY": "/run/paglets:/run/more", "XDG_RUNTIME_DIR": "/run/user/7"}
        assert socket_path(Path("/data"), environ).parent == Path("/run/paglets")

    def test_commands_look_where_the_system_service_listens(self) -> None:
        service = socket_path(SYSTEM_DATA_DIR, {"RUNTIME_DIRECTORY": "/run/paglets"})
        assert service in socket_candidates(SYSTEM_DATA_DIR, {"XDG_RUNTIME_DIR": "/run/user/7"})
        assert service in socket_candidates(SYSTEM_DATA_DIR, {})

    def test_each_data_directory_has_its_own(self) -> None:
        environ = {"XDG_RUNTIME_DIR": "/run/user/7"}
        assert socket_path(Path("/a"), environ) != socket_path(Path("/b"), environ)

    def test_names_of_one_directory_lead_to_one_socket(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "link").symlink_to("data")
        environ = {"XDG_RUNTIME_DIR": "/run/user/7"}
        assert socket_path(tmp_path / "link", environ) == socket_path(tmp_path / "data", environ)

    @given(st.text(st.characters(exclude_characters="\0:", exclude_categories=("Cs",)), max_size=150))
    def test_it_always_fits(self, name: str) -> None:
        path = socket_path(Path("/data", name.lstrip("/")), {"XDG_RUNTIME_DIR": f"/{name.strip('/')}"})
        assert len(os.fsencode(path)) <= MAX_SOCKET_PATH

    def test_when_nothing_fits_it_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.directories.MAX_SOCKET_PATH", 10)
        with pytest.raises(HostError, match="XDG_RUNTIME_DIR"):
            socket_path(Path("/data"), {})
