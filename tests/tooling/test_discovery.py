"""Finding paglet classes: what is found, and what is said of sources that are not as they should be."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from paglets.remote.admin import AgentDiscoveryConfig
from paglets.tooling.discovery import AgentClassRecord, DiscoveryResult, discover_agent_classes

if TYPE_CHECKING:
    from pathlib import Path

COUNTER = '''
from dataclasses import dataclass, field
from paglets.core.agent import Paglet

@dataclass
class Tally:
    name: str
    count: int = 0
    raw: bytes = b"\\x00"
    tags: set[str] = field(default_factory=lambda: {"b", "a"})
    hidden: int = field(default=0, init=False)

class Counter(Paglet[Tally]):
    """Counts things,
    one by one.

    And more.
    """

    State = Tally
'''


def agent(name: str, before: str = "") -> str:
    return (
        f"{before}\nfrom dataclasses import dataclass\nfrom paglets.core.agent import Paglet\n"
        f"@dataclass\nclass State{name}:\n    x: int = 1\n"
        f"class {name}(Paglet[State{name}]):\n    State = State{name}\n"
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(*paths: Path | str, modules: tuple[str, ...] = (), module_timeout: float = 10.0) -> DiscoveryResult:
    return discover_agent_classes(AgentDiscoveryConfig(paths, modules), module_timeout=module_timeout)


def names(result: DiscoveryResult) -> list[str]:
    return [record.class_name for record in result.agent_classes]


def test_a_record_says_what_it_takes_to_create_one(tmp_path: Path) -> None:
    result = found(write(tmp_path / "counter.py", COUNTER))
    assert result == DiscoveryResult(
        [
            AgentClassRecord(
                class_name="counter:Counter",
                state_class_name="counter:Tally",
                display_name="Counter",
                description="Counts things, one by one.",
                state_template={
                    "count": 0,
                    "raw": {"__paglets_binary__": "bytes", "base64": "AA=="},
                    "tags": ["a", "b"],
                },
                required_state_fields=("name",),
            )
        ]
    )


def test_nothing_of_it_reaches_the_asking_process(tmp_path: Path) -> None:
    write(
        tmp_path / "noisy_agents.py", agent("Noisy", "print('hello')\nimport os; os.environ['NOISY'] = '1'")
    )
    before = set(sys.modules), threading.active_count()
    assert names(found(tmp_path)) == ["noisy_agents:Noisy"]
    assert "noisy_agents" not in sys.modules
    assert threading.active_count() == before[1]
    assert not list(tmp_path.rglob("__pycache__"))


def test_directories_are_searched_with_all_that_is_below(tmp_path: Path) -> None:
    write(tmp_path / "one.py", agent("One"))
    write(tmp_path / "pack" / "__init__.py", agent("Init"))
    write(tmp_path / "pack" / "inner" / "__init__.py", "from pack import Init")
    write(tmp_path / "pack" / "inner" / "two.py", "from ..  import Init\n" + agent("Two"))
    write(tmp_path / "loose" / "three.py", agent("Three"))
    write(tmp_path / "pack" / "__main__.py", "raise SystemExit('programs are not run')")
    write(tmp_path / ".hidden" / "x.py", "1/0")
    write(tmp_path / "venv" / "pyvenv.cfg", "")
    write(tmp_path / "venv" / "x.py", "1/0")
    write(tmp_path / "not-a-module.py", "1/0")
    write(tmp_path / "notes.txt", "class")
    everything = ["loose.three:Three", "one:One", "pack.inner.two:Two", "pack:Init"]
    assert found(tmp_path).errors == []
    assert names(found(tmp_path)) == everything
    assert names(found(tmp_path / "pack" / "inner")) == ["pack.inner.two:Two"]
    assert names(found(tmp_path / "pack" / "inner" / "two.py", tmp_path / "one.py", tmp_path)) == everything


def test_packages_by_name_with_all_that_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "named_pack" / "__init__.py", "")
    write(tmp_path / "named_pack" / "deep" / "__init__.py", "")
    write(tmp_path / "named_pack" / "deep" / "one.py", agent("One"))
    write(tmp_path / "named_pack" / "__main__.py", "raise SystemExit('programs are not run')")
    (tmp_path / "named_pack" / "again").symlink_to(tmp_path / "named_pack")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    result = found(modules=("named_pack", "named_pack.deep.one"))
    assert result.errors == []
    assert names(result) == ["named_pack.deep.one:One"]


def test_two_directories_may_have_modules_of_one_name(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "agents.py", agent("First"))
    second = write(tmp_path / "b" / "agents.py", agent("Second"))
    assert names(found(first, second)) == ["agents:First", "agents:Second"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    write(tmp_path / "pack" / "one.py", agent("One"))
    (tmp_path / "pack" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    result = found(tmp_path)
    assert names(result) == ["pack.one:One"]
    assert result.errors == []
    assert "Discovery path" in found(tmp_path / "self").errors[0]


CLASSES = (
    """
import abc
from dataclasses import dataclass
from datetime import datetime
from paglets.core.agent import Paglet, PagletState

class Base(Paglet): "No state: for others to build on."

class Wrong(Paglet): State = dict

@dataclass
class Unmovable(PagletState):
    when: "datetime | str" = ""

class Odd(Paglet): State = Unmovable

@dataclass
class Infinite:
    most: float = float("inf")
    least: float = 0.0

class Partly(Paglet): State = Infinite

class _Private(Paglet): State = Infinite

class Abstract(Paglet, abc.ABC):
    State = Infinite
    @abc.abstractmethod
    def work(self): ...

def make():
    class Local(Paglet): State = Infinite
    return Local

Made = make()
Alias = Partly
"""
).strip()


def test_only_what_can_be_created_is_listed(tmp_path: Path) -> None:
    result = found(write(tmp_path / "classes.py", CLASSES))
    assert names(result) == ["classes:Partly"]
    assert result.agent_classes[0].state_template == {"least": 0.0}
    wrong, odd, partly = result.errors
    assert wrong.startswith("Discovery class cannot be used: classes:Wrong: Wrong.State must be a dataclass")
    assert odd.startswith("Discovery class cannot be used: classes:Odd: Unmovable.when: ")
    assert partly.startswith("Discovery default cannot be shown: classes:Partly, field most: ")


BAD = {
    "raises": ("raise RuntimeError('no database')", "RuntimeError: no database"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "syntax": ("def broken(:", "SyntaxError: "),
    "missing": ("import nobody_has_this", "ModuleNotFoundError: No module named 'nobody_has_this'"),
    "mute error": ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E"),
    "ends": ("import os; os._exit(0)", "the process that imported it ended"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "the process that imported it ended"),
    "null": ("\0", "SyntaxError: "),
    "writes": (
        "import os\nfor n in range(3, 20):\n    try: os.write(n, b'{}[]\\n')\n    except OSError: pass",
        "said something else",
    ),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_bad_module_is_an_error_and_the_others_are_found(tmp_path: Path, case: str) -> None:
    text, sentence = BAD[case]
    write(tmp_path / "bad.py", text)
    write(tmp_path / "good.py", agent("Good"))
    result = found(tmp_path)
    assert names(result) == ["good:Good"]
    (error,) = result.errors
    assert error.startswith("Discovery module cannot be imported: bad: ")
    assert sentence in error


def test_an_import_that_hangs_is_given_up_with_all_that_it_started(tmp_path: Path) -> None:
    text = (
        "import subprocess, sys, pathlib, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(__file__).with_name('pid').write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    write(tmp_path / "good.py", agent("Good"))
    write(tmp_path / "hangs.py", text)
    result = found(tmp_path, module_timeout=1.0)
    assert names(result) == ["good:Good"]
    assert result.errors == ["Discovery module cannot be imported: hangs: its import was not done after 1 s"]
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid: int) -> bool:
    from pathlib import Path  # noqa: PLC0415

    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_many_modules_that_crash_are_not_all_tried(tmp_path: Path) -> None:
    for number in range(13):
        write(tmp_path / f"bad{number:02}.py", "import os; os._exit(1)")
    result = found(tmp_path)
    assert len(result.errors) == 11
    assert result.errors[-1] == "Discovery gave up after 10 such modules; 3 are left out"


def test_sources_that_are_none(tmp_path: Path) -> None:
    text = write(tmp_path / "notes.txt", "")
    dashed = write(tmp_path / "my-agents.py", "")
    nowhere = tmp_path / "nowhere"
    result = found(nowhere, text, dashed, "a\0b", modules=("no such", "__main__", "nobody_has_this", "a..b"))
    assert result.agent_classes == []
    assert result.errors[:3] == [
        f"Discovery path does not exist: {nowhere}",
        f"Discovery path is no Python module: {text}",
        f"Discovery path is no Python module: {dashed}",
    ]
    assert "a\0b" in result.errors[3]
    assert sorted(error.split(": ")[1] for error in result.errors[4:]) == [
        "'__main__' is no module name",
        "'a..b' is no module name",
        "'no such' is no module name",
        "nobody_has_this",
    ]


def test_a_file_in_the_shadow_of_another_module(tmp_path: Path) -> None:
    result = found(write(tmp_path / "json.py", agent("Shadowed")))
    assert result.agent_classes == []
    assert "has the same name" in result.errors[0]


def test_nothing_to_look_into_is_nothing_found() -> None:
    assert found() == DiscoveryResult()
