"""References to artifacts and files, names, digests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.artifacts import (
    ArtifactRef,
    PagletFileRef,
    file_sha256,
    paglet_file_ref_from_path,
    safe_target_filename,
)
from paglets.core.errors import SerializationError

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = (
        "import sys, paglets.artifacts as a; assert 'paglets.artifacts.refs' not in sys.modules; a.ArtifactRef; "
        "assert 'lmdb' not in sys.modules; assert not hasattr(a, 'Host')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_values_survive_the_wire() -> None:
    ref = ArtifactRef("https://h:1", "id", name="a.bin", size_bytes=3, sha256="00", expires_at=4.5)
    assert ArtifactRef.from_wire(ref.to_wire()) == ref
    file = PagletFileRef("f", mode="move", source_path="/x", size_bytes=2)
    assert PagletFileRef.from_wire({**file.to_wire(), "unknown": 1}) == file
    with pytest.raises(SerializationError, match="artifact_id"):
        ArtifactRef.from_wire({"host_url": "https://h:1"})
    with pytest.raises(SerializationError, match="size_bytes"):
        ArtifactRef.from_wire({**ref.to_wire(), "size_bytes": "3"})


def test_a_file_is_described(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_bytes(b"hello")
    ref = paglet_file_ref_from_path(path, mode="move", host_name="a", host_url="https://a:1")
    assert (ref.name, ref.mode, ref.status, ref.size_bytes) == ("report.txt", "move", "registered", 5)
    assert ref.sha256 == file_sha256(path) == hashlib.sha256(b"hello").hexdigest()
    assert ref.source_path == ref.current_path == str(path)
    assert paglet_file_ref_from_path(str(path), name="file").name == "file"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        paglet_file_ref_from_path(tmp_path / "none")
    with pytest.raises(ValueError, match="no regular file"):
        paglet_file_ref_from_path(tmp_path)
    (tmp_path / "f").touch()
    with pytest.raises(ValueError, match="copy, move"):
        paglet_file_ref_from_path(tmp_path / "f", mode="link")
    for name in ("", "..", "a/b", "..\\x", "a\nb", " a", "x" * 201):
        with pytest.raises(ValueError, match="no name"):
            paglet_file_ref_from_path(tmp_path / "f", name=name)


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("report.txt", "report.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\data.csv", "data.csv"),
        ("..", "file"),
        ("", "file"),
        ("dir/", "file"),
        (".bashrc", "bashrc"),
        ("a\0b\nc", "a_b_c"),
        ("con.txt", "_con.txt"),
    ],
    ids=str,
)
def test_a_name_leads_nowhere(given_name: str, expected: str) -> None:
    assert safe_target_filename(given_name) == expected


@given(st.text(max_size=400))
def test_any_text_gives_a_name(text: str) -> None:
    name = safe_target_filename(text)
    assert name not in {"", ".", ".."}
    assert not set(name) & set('/\\\0<>:"|?*')
    assert len(name.encode("utf-8", "surrogatepass")) <= 200
    assert safe_target_filename(name) == name
