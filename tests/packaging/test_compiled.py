"""Compiled modules of authors, as a frozen host keeps them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.compiled import COMPILED

if TYPE_CHECKING:
    from pathlib import Path

# As the frozen program is: it would keep nothing.
_IMPORT = """
import sys
from pathlib import Path
sys.dont_write_bytecode, sys.pycache_prefix = True, None
from edge.compiled import keep_compiled
keep_compiled(Path(sys.argv[1]))
sys.path.append(sys.argv[2])
import thermometer
print(thermometer.ROOM)
del sys.modules["thermometer"]
(kept,) = [*Path(sys.argv[1]).rglob("thermometer.*.pyc")] or [None]
if kept:
    first = kept.stat().st_mtime_ns
    import thermometer
    assert kept.stat().st_mtime_ns == first
    source = Path(thermometer.__file__)
    source.write_text(source.read_text() + "ROOM += ' and more'\\n")
    del sys.modules["thermometer"]
    import thermometer
    assert kept.stat().st_mtime_ns != first
    print(thermometer.ROOM)
"""


def _rooms(data: Path, code: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(data), str(code)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A directory with an author's module."""
    made = tmp_path / "code"
    made.mkdir()
    (made / "thermometer.py").write_text("ROOM = 'cellar'\n")
    return made


def test_a_module_is_compiled_once_and_again_when_it_has_changed(tmp_path: Path, code: Path) -> None:
    data = tmp_path / "data"
    assert _rooms(data, code) == ["cellar", "cellar and more"]
    (kept,) = (data / COMPILED).rglob("*.pyc")
    assert kept.name.startswith("thermometer.")
    assert not list(code.rglob("*.pyc"))
    assert (data / COMPILED).stat().st_mode & 0o777 == 0o700


def test_what_a_power_cut_has_damaged_is_not_taken(tmp_path: Path, code: Path) -> None:
    data = tmp_path / "data"
    _rooms(data, code)
    (kept,) = (data / COMPILED).rglob("*.pyc")
    kept.write_bytes(kept.read_bytes()[:16] + bytes(100))
    assert _rooms(data, code)[0] == "cellar and more"


def test_nothing_is_taken_from_where_others_can_write(tmp_path: Path, code: Path) -> None:
    data = tmp_path / "data"
    (data / COMPILED).mkdir(parents=True)
    (data / COMPILED).chmod(0o777)
    assert _rooms(data, code) == ["cellar"]
    assert not list(data.rglob("*.pyc"))


def test_nothing_is_kept_where_there_is_no_room_for_it(tmp_path: Path, code: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / COMPILED).write_text("a file\n")
    assert _rooms(data, code) == ["cellar"]
