"""The bundled launch configuration comes to a host, and newer versions of it are offered."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING

import pytest

from paglets.config.startup import bundled_launch_config_text, load_launch_config, sync_launch_config
from paglets.core.errors import HostError
from paglets.core.runtime_values import LaunchConfigSyncAction

if TYPE_CHECKING:
    from pathlib import Path

OLDER = re.sub(r"demo_config_version = \d+", "demo_config_version = 0", bundled_launch_config_text())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conf" / "launch.toml"


@pytest.fixture
def older(path: Path) -> Path:
    path.parent.mkdir()
    path.write_text(OLDER + "\n# mine\n")
    return path


def refuse_to_answer(question: str) -> str:
    raise AssertionError(question)


def names_beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def test_a_missing_file_is_made_and_then_left_alone(path: Path) -> None:
    said = io.StringIO()
    made = sync_launch_config(path, interactive=False, output=said)
    assert made.action is LaunchConfigSyncAction.COPIED
    assert path.read_text() == bundled_launch_config_text()
    assert said.getvalue() == made.message + "\n"
    again = sync_launch_config(path, yes=True)
    assert again.action is LaunchConfigSyncAction.UNCHANGED
    assert again.backup_path is None
    assert names_beside(path) == ["launch.toml"]


def test_edits_of_the_bundled_version_are_the_users_own(path: Path) -> None:
    sync_launch_config(path)
    edited = path.read_text().replace("enabled = true", "enabled = false")
    path.write_text(edited)
    assert sync_launch_config(path, yes=True).action is LaunchConfigSyncAction.UNCHANGED
    assert path.read_text() == edited


def test_an_older_version_is_replaced_on_request_and_kept(older: Path) -> None:
    older.chmod(0o600)
    lines: list[str] = []
    result = sync_launch_config(older, yes=True, input_func=refuse_to_answer, output=lines.append)
    assert result.action is LaunchConfigSyncAction.UPDATED
    assert lines == [result.message]
    assert older.read_text() == bundled_launch_config_text()
    assert result.backup_path is not None
    assert result.backup_path.parent == older.parent
    assert result.backup_path.read_text() == OLDER + "\n# mine\n"
    assert {each.stat().st_mode & 0o777 for each in (older, result.backup_path)} == {0o600}


def test_no_copy_ever_replaces_another(older: Path) -> None:
    first = sync_launch_config(older, yes=True).backup_path
    older.write_text(OLDER)
    second = sync_launch_config(older, yes=True).backup_path
    assert first is not None
    assert second is not None
    assert first != second
    assert first.read_text().endswith("# mine\n")


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        ("y", LaunchConfigSyncAction.UPDATED),
        (" Yes ", LaunchConfigSyncAction.UPDATED),
        ("", LaunchConfigSyncAction.SKIPPED),
        ("n", LaunchConfigSyncAction.SKIPPED),
    ],
    ids=["y", "yes", "return", "n"],
)
def test_somebody_at_a_terminal_is_asked(older: Path, answer: str, action: LaunchConfigSyncAction) -> None:
    questions: list[str] = []

    def answered(question: str) -> str:
        questions.append(question)
        return answer

    assert sync_launch_config(older, interactive=True, input_func=answered).action is action
    assert len(questions) == 1
    assert str(older) in questions[0]


def test_a_service_is_told_that_there_is_a_newer_one(older: Path) -> None:
    before = older.read_text()
    result = sync_launch_config(older, interactive=False, input_func=refuse_to_answer)
    assert result.action is LaunchConfigSyncAction.UPDATE_AVAILABLE
    assert (older.read_text(), names_beside(older)) == (before, ["launch.toml"])


def test_nobody_is_asked_where_stdin_is_no_terminal(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin in (io.StringIO(), None):
        monkeypatch.setattr("sys.stdin", stdin)
        result = sync_launch_config(older, input_func=refuse_to_answer)
        assert result.action is LaunchConfigSyncAction.UPDATE_AVAILABLE


def test_a_question_that_nobody_can_answer_any_more(older: Path) -> None:
    def gone(_: str) -> str:
        raise EOFError

    result = sync_launch_config(older, interactive=True, input_func=gone)
    assert result.action is LaunchConfigSyncAction.UPDATE_AVAILABLE


def test_switched_off_it_does_not_even_make_a_file(path: Path) -> None:
    assert sync_launch_config(path, enabled=False, yes=True).action is LaunchConfigSyncAction.SKIPPED
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    [
        OLDER.replace("sync_demo_config = true", "sync_demo_config = false"),
        OLDER.replace('demo_config_id = "paglets"', 'demo_config_id = "site"'),
        "",
    ],
    ids=["not wanted", "another one", "own"],
)
def test_files_that_are_the_users_own_are_left_alone(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert sync_launch_config(path, yes=True).action is LaunchConfigSyncAction.SKIPPED
    assert path.read_text() == text


def test_a_later_version_than_the_programs_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    text = OLDER.replace("demo_config_version = 0", "demo_config_version = 999")
    path.write_text(text)
    assert sync_launch_config(path, yes=True).action is LaunchConfigSyncAction.UNCHANGED


def test_a_damaged_file_is_reported_and_not_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("[launch\n")
    with pytest.raises(HostError, match="is not TOML"):
        sync_launch_config(path, yes=True)
    assert path.read_text() == "[launch\n"


def test_a_symbolic_link_is_read_but_not_replaced(older: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(older)
    assert load_launch_config(link).demo_config_version == 0
    with pytest.raises(HostError, match="is a symbolic link to"):
        sync_launch_config(link, yes=True)
    assert link.is_symlink()
    assert names_beside(older) == ["launch.toml"]
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(HostError, match="cannot be read"):
        sync_launch_config(link, yes=True)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match=r"launch\.toml cannot be (written|read): "):
        sync_launch_config(tmp_path / "file" / "launch.toml")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_that_may_not_be_changed(older: Path) -> None:
    before = older.read_text()
    older.parent.chmod(0o500)
    try:
        with pytest.raises(HostError, match="cannot be kept beside it: Permission denied"):
            sync_launch_config(older, yes=True)
    finally:
        older.parent.chmod(0o700)
    assert (older.read_text(), names_beside(older)) == (before, ["launch.toml"])
