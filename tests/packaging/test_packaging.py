"""The recipes of the frozen program and of the service, without building them."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
import tomllib
import types
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from edge.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "paglets.service"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a module of ``packaging/``, which is no package: its name is that of a library."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "packaging"), *sys.path])

    def load(name: str) -> Any:
        return importlib.import_module(name)

    return load


def test_the_release_has_one_number() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_version_is_told_without_loading_the_program() -> None:
    code = (
        "import sys; sys.argv = ['paglets', '--version']\n"
        "before = set(sys.modules)\n"
        "from edge.__main__ import main\n"
        "assert main() == 0\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    version, loaded = done.stdout.splitlines()
    assert version == f"paglets {VERSION}"
    ours = {"edge", "edge.__main__", "edge.version", "paglets", "paglets.core", "paglets.core.version"}
    assert set(loaded.split()) <= {*ours, "__future__"}


def test_commands_load_neither_the_host_nor_what_draws_tables() -> None:
    code = "import sys; import edge.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"websockets", "cryptography", "zeroconf", "lmdb", "rich", "psutil", "paglets.runtime.host"}
    assert not heavy & set(done.stdout.split())


def test_the_whole_standard_library_goes_in_except_what_is_left_out(recipe: Callable[[str], Any]) -> None:
    contents = recipe("contents")
    names = set(contents.hidden_imports())
    wanted = {
        "asyncio.taskgroups",
        "sqlite3",
        "xml.etree.ElementTree",
        "wsgiref.simple_server",
        "zoneinfo",
        "curses",
    }
    assert wanted <= names
    assert {"paglets.core.itinerary", "edge.cli.app", "paglets.runtime.launchers.newborn"} <= names
    assert not [
        name
        for name in names
        if name.split(".")[0] in {"tkinter", "distutils", "idlelib", "readline", "test"}
    ]


def test_every_part_has_its_licence(recipe: Callable[[str], Any], tmp_path: Path) -> None:
    licences = recipe("licences")
    assert licences.gather(tmp_path / "licences", ROOT) == []
    found = {path.name for path in (tmp_path / "licences").iterdir()}
    needed = {
        "websockets",
        "zeroconf",
        "lmdb",
        "cryptography",
        "platformdirs",
        "msgspec",
        "psutil",
        "typer",
        "rich",
    }
    assert needed | {"python", "pyinstaller", "LICENSE"} <= found
    assert "LGPL" in (next((tmp_path / "licences" / "zeroconf").glob("*"))).read_text().replace(
        "LESSER GENERAL PUBLIC LICENSE", "LGPL"
    )


def test_what_is_built_is_built_again_only_when_something_changed(recipe: Callable[[str], Any]) -> None:
    build = recipe("build")
    before = build.fingerprint()
    assert build.fingerprint() == before
    extra = ROOT / "edge" / "__pycache__" / "fingerprint-test"
    extra.parent.mkdir(exist_ok=True)
    extra.touch()
    try:
        assert build.fingerprint() == before, "caches do not count"
    finally:
        extra.unlink()


def test_frozen_hooks_run_when_what_they_are_for_is_imported(tmp_path: Path) -> None:
    for name in ("inspect", "multiprocessing", "pkgutil"):
        (tmp_path / f"pyi_rth_{name}.py").write_text(f"import {name}; {name}.hooked = True")
    code = (
        "import sys; from edge import frozen_hooks; frozen_hooks.install()\n"
        "assert 'multiprocessing' not in sys.modules and 'pyi_rth_multiprocessing' not in sys.modules\n"
        "import multiprocessing, pkgutil, inspect, json\n"
        "assert multiprocessing.hooked and pkgutil.hooked and not hasattr(inspect, 'hooked')\n"
        "assert inspect.getsourcefile(json).endswith('json/__init__.py') and inspect.hooked\n"
        "assert inspect.getsource(json.loads) and multiprocessing.get_context('spawn').Lock()\n"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path += {[str(tmp_path), str(ROOT)]}\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class TestUnit:
    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
    def test_systemd_has_nothing_to_say_about_it(self, tmp_path: Path) -> None:
        copy = tmp_path / UNIT.name
        shutil.copyfile(UNIT, copy)
        done = subprocess.run(
            ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_every_setting_is_explained(self) -> None:
        lines = UNIT.read_text().splitlines()
        settings = [number for number, line in enumerate(lines) if "=" in line and not line.startswith("#")]
        explained = [
            number for number in settings if lines[number - 1].startswith("#") or (number - 1) in settings
        ]
        plain = {"Description=paglets host", "WantedBy=multi-user.target"}
        assert {lines[number] for number in settings if number not in explained} <= plain

    def test_it_runs_what_the_command_line_knows(self) -> None:
        text = UNIT.read_text()
        assert "Type=notify" in text
        assert "StateDirectory=paglets " in text
        assert "paglets host $PAGLETS_OPTIONS" in text


def test_the_files_that_packages_read_are_in_the_frozen_program_and_in_the_wheel(
    recipe: Callable[[str], Any],
) -> None:
    shipped = {
        str(PurePosixPath(package.replace(".", "/"), name))
        for package, names in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
            "package-data"
        ].items()
        for name in names
        if name != "py.typed"
    }
    files = recipe("contents").data_files(ROOT)
    assert {str(Path(source).relative_to(ROOT)) for source, _ in files} == shipped
    assert all(Path(source).is_file() for source, _ in files)
    assert all(Path(source).parent == ROOT / target for source, target in files)


def test_the_program_has_the_docstrings_that_it_shows_and_no_others(
    recipe: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        '"""Module."""\nfrom __future__ import annotations\nfrom dataclasses import dataclass\n'
        '@dataclass\nclass Data:\n    """Data."""\n    field: int = 1\n'
        'class Plain:\n    """Plain."""\n'
        'def work():\n    """Work."""\n'
        'def check(value):\n    """Check."""\n    assert value, "checked"\n    return "Check."\n'
    )
    shown = tmp_path / "shown.py"
    shown.write_text('"""Shown."""\nprint(__doc__)\n')
    entries = [
        ("library.module", str(source), "PYMODULE"),
        ("library.shown", str(shown), "PYMODULE"),
        ("edge.cli.module", str(source), "PYMODULE"),
        ("library.space", None, "PYMODULE"),
    ]
    codes = recipe("compact").compact_codes(entries)
    assert set(codes) == {"library.module"}
    module = types.ModuleType("library.module")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = vars(module)
    exec(codes["library.module"], names)
    assert names.get("__doc__") is None
    assert (names["Data"].__doc__, names["Plain"].__doc__, names["work"].__doc__) == ("-", None, None)
    assert names["Data"](2).field == 2
    assert names["work"]() is None
    assert names["check"](1) == "Check."
    with pytest.raises(AssertionError, match="checked"):
        names["check"](0)


def test_annotations_of_our_functions_stay_in_the_source_and_those_of_classes_do_not(
    recipe: Callable[[str], Any], tmp_path: Path
) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "class Data:\n    field: int = 1\n"
        "    def work(self, one: int, /, *rest: str, key: bool = True, **more: str) -> int:\n"
        "        return one, rest, key, more\n"
        "async def wait(one: int) -> int: ...\n"
    )
    entries = [(f"{package}.module", str(source), "PYMODULE") for package in ("paglets", "library")]
    annotations: dict[str, Any] = {}
    for name, code in recipe("compact").compact_codes(entries).items():
        names: dict[str, Any] = {"__name__": name}
        exec(code, names)
        data = names["Data"]
        annotations[name] = [list(each.__annotations__) for each in (data, data.work, names["wait"])]
        assert data().work(1, "two", three="3") == (1, ("two",), True, {"three": "3"})
    assert annotations == {
        "paglets.module": [["field"], [], []],
        "library.module": [["field"], ["one", "rest", "key", "more", "return"], ["one", "return"]],
    }


def test_what_a_library_imports_for_nothing_is_left_out_as_long_as_it_is_for_nothing(
    recipe: Callable[[str], Any], tmp_path: Path
) -> None:
    spec = importlib.util.find_spec("websockets.version")
    assert spec is not None
    assert spec.origin is not None
    (code,) = recipe("compact").compact_codes([("websockets.version", spec.origin, "PYMODULE")]).values()
    names: dict[str, Any] = {"__name__": "websockets.version"}
    exec(code, names)
    assert names["version"] == metadata.version("websockets")
    assert "importlib" not in names
    changed = tmp_path / "version.py"
    changed.write_text(Path(spec.origin).read_text().replace("released = True", "released = False"))
    with pytest.raises(ValueError, match="NOT_USED"):
        recipe("compact").compact_codes([("websockets.version", str(changed), "PYMODULE")])
