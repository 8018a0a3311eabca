"""Launch configurations: what they say, and what is said of those that are wrong."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.config.launch_config import ResidentServiceConfig, StartupAgentConfig
from paglets.config.reading import parse_launch_config
from paglets.config.startup import (
    bundled_launch_config_text,
    load_launch_config,
    resolve_resident_service,
    resolve_startup_agent,
)
from paglets.core.errors import HostError
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope

if TYPE_CHECKING:
    from paglets.config.startup import LaunchConfig

FULL = """
[launch]
demo_config_id = "site"
demo_config_version = 3
sync_demo_config = false

[[startup_agents]]
class = "site.thermometer:Thermometer"
agent_id = "thermometer.cellar"
state = { room = "cellar", limits = [1.5, 30] }
init = ["now"]

[[startup_agents]]
class = "site.door:Door"
enabled = false
singleton = false

[[resident_services]]
use = "server-info"

[[resident_services]]
class = "site.lamps:Lamps"
agent_id = "service.lamps"
singleton = false
lifecycle = "eager"
scope = "mesh"
idle_timeout = 5
state = { count = 4 }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "launch.toml"


def loaded(path: Path, text: str) -> LaunchConfig:
    path.write_text(text)
    return load_launch_config(path)


def test_everything_that_a_file_can_say(path: Path) -> None:
    config = loaded(path, FULL)
    assert (config.path, config.demo_config_id, config.demo_config_version) == (path, "site", 3)
    assert not config.sync_demo_config
    thermometer, door = config.startup_agents
    assert thermometer.class_name == "site.thermometer:Thermometer"
    assert thermometer.agent_id == "thermometer.cellar"
    assert thermometer.state == {"room": "cellar", "limits": [1.5, 30]}
    assert thermometer.init == ["now"]
    assert thermometer.enabled
    assert not door.enabled
    info, lamps = config.resident_services
    assert (info.use, info.class_name, info.lifecycle, info.idle_timeout) == ("server-info", None, None, None)
    assert lamps.lifecycle is ResidentLifecycle.EAGER
    assert lamps.scope is ServiceScope.MESH
    assert lamps.idle_timeout == 5.0
    assert lamps.singleton is False


def test_an_empty_file_starts_nothing(path: Path) -> None:
    config = loaded(path, "")
    assert (config.demo_config_id, config.demo_config_version, config.sync_demo_config) == ("", 0, True)
    assert (config.startup_agents, config.resident_services) == ((), ())


def test_the_bundled_one_keeps_the_three_services_of_the_system(path: Path) -> None:
    config = loaded(path, bundled_launch_config_text())
    assert config.demo_config_id
    assert config.demo_config_version >= 1
    assert [each.use for each in config.resident_services if each.enabled] == [
        "server-info",
        "mesh-info",
        "user-info",
    ]
    assert resolve_resident_service(config.resident_services[0]).class_name == (
        "paglets.system.server_info.agent:ServerInfo"
    )


def test_what_a_service_does_not_say_is_left_to_its_class(path: Path) -> None:
    info, lamps = (resolve_resident_service(each) for each in loaded(path, FULL).resident_services)
    assert (info.agent_id, info.singleton, info.lifecycle, info.scope, info.idle_timeout, info.state) == (
        (None,) * 6
    )
    assert lamps.class_name == "site.lamps:Lamps"
    assert (lamps.agent_id, lamps.scope, lamps.state) == ("service.lamps", ServiceScope.MESH, {"count": 4})


def test_a_startup_agent_is_created_once_unless_it_says_otherwise(path: Path) -> None:
    thermometer, door = (resolve_startup_agent(each) for each in loaded(path, FULL).startup_agents)
    assert thermometer.singleton is True
    assert door.singleton is False
    assert thermometer.state == {"room": "cellar", "limits": [1.5, 30]}
    assert thermometer.source == f"{path}: [[startup_agents]] number 1"


def test_configs_made_by_a_program_are_checked_when_resolved() -> None:
    with pytest.raises(HostError, match="exactly one of"):
        resolve_resident_service(ResidentServiceConfig())
    with pytest.raises(HostError, match="exactly one of"):
        resolve_startup_agent(StartupAgentConfig(class_name="a:B", use="mesh-info"))
    with pytest.raises(HostError, match="must be one of: server-info"):
        resolve_resident_service(ResidentServiceConfig(use="weather"))


SERVICE = '[[resident_services]]\nclass = "a:B"\n'
AGENT = '[[startup_agents]]\nclass = "a:B"\n'
WRONG = {
    "unknown table": ("[lunch]", "key 'lunch': is not known; allowed here: launch, startup_agents, resi"),
    "unknown key": (SERVICE + "scoop = 1", "[[resident_services]] number 1, key 'scoop': is not known"),
    "key of the other": (AGENT + 'lifecycle = "lazy"', "[[startup_agents]] number 1, key 'lifecycle'"),
    "launch key": ("[launch]\nversion = 1", "[launch], key 'version': is not known"),
    "version": ("[launch]\ndemo_config_version = true", "key 'demo_config_version': must be a whole number"),
    "negative version": ("[launch]\ndemo_config_version = -1", "must be a whole number of 0 or more, not -1"),
    "id": ("[launch]\ndemo_config_id = 3", "[launch], key 'demo_config_id': must be a string"),
    "sync": ('[launch]\nsync_demo_config = "no"', "must be true or false, not 'no'"),
    "launch no table": ("launch = 3", "key 'launch': must be a table, written [launch]"),
    "one table": ('[resident_services]\nuse = "mesh-info"', "must be an array of tables"),
    "strings": ('startup_agents = ["a:B"]', "key 'startup_agents': must be an array of tables"),
    "second table": (SERVICE * 2 + "enabled = 1", "number 2, key 'enabled': must be true or false, not 1"),
    "neither": ("[[startup_agents]]", "key 'class': is missing; give it as 'module:Class'"),
    "both": (SERVICE + 'use = "mesh-info"', "key 'use': cannot stand beside 'class'"),
    "no colon": ('[[resident_services]]\nclass = "a.B"', "key 'class': must look like 'module:Class'"),
    "odd class": ('[[resident_services]]\nclass = "a:B; c"', "key 'class': must look like 'module:Class'"),
    "empty class": ('[[resident_services]]\nclass = ""', "key 'class': must be a string that is not empty"),
    "unknown use": ('[[resident_services]]\nuse = "tea"', "one of: server-info, mesh-info, user-info; not"),
    "lifecycle": (SERVICE + 'lifecycle = "EAGER"', "key 'lifecycle': must be one of: lazy, eager; not 'EAG"),
    "scope": (SERVICE + "scope = 1", "key 'scope': must be one of: local, mesh; not 1"),
    "negative": (SERVICE + "idle_timeout = -1", "key 'idle_timeout': must be a number of seconds above 0"),
    "nan": (SERVICE + "idle_timeout = nan", "key 'idle_timeout': must be a number of seconds above 0"),
    "infinite": (SERVICE + "idle_timeout = inf", "key 'idle_timeout': must be a number of seconds above 0"),
    "huge": (SERVICE + f"idle_timeout = 1{'0' * 400}", "key 'idle_timeout': must be a number of seconds"),
    "true seconds": (SERVICE + "idle_timeout = true", "key 'idle_timeout': must be a number of seconds"),
    "agent id": (SERVICE + 'agent_id = "a b"', "key 'agent_id': must be up to 128 letters"),
    "long id": (SERVICE + f'agent_id = "{"a" * 129}"', "key 'agent_id': must be up to 128 letters"),
    "date": (SERVICE + "state = { day = 2026-01-01 }", "key 'state': state.day is a date or a time"),
    "deep date": (AGENT + "init = [1, { at = 10:00:00 }]", "key 'init': init[1].at is a date or a time"),
    "nan state": (AGENT + "state = { a = [nan] }", "key 'state': state.a[0] is nan, which JSON"),
    "list state": (AGENT + "state = [1]", "key 'state': must be a table of fields, not [1]"),
    "deep state": (AGENT + f"init = {'[' * 80}{']' * 80}", "key 'init': nests more than 64 deep"),
    "deeper": (AGENT + f"init = {'[' * 9000}{']' * 9000}", "cannot be read as TOML"),
    "no toml": ("[[startup_agents]\n", "is not TOML: "),
    "digits": (AGENT + f"init = {'1' * 5000}", "cannot be read as TOML"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_what_is_wrong_is_named_with_file_table_and_key(path: Path, case: str) -> None:
    text, sentence = WRONG[case]
    with pytest.raises(HostError) as caught:
        loaded(path, text)
    assert str(caught.value).startswith(str(path))
    assert sentence in str(caught.value)


def test_two_enabled_tables_with_one_id(path: Path) -> None:
    service, agent = SERVICE + 'agent_id = "x"\n', AGENT + 'agent_id = "x"\n'
    with pytest.raises(
        HostError, match=r"startup_agents\]\] number 1, key 'agent_id': 'x' is taken by .*resi"
    ):
        loaded(path, service + agent)
    assert len(loaded(path, service + agent + "enabled = false\n").startup_agents) == 1


def test_a_file_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"launch\.toml cannot be read: No such file"):
        load_launch_config(path)
    with pytest.raises(HostError, match=r"(is not a regular file|Is a directory)"):
        load_launch_config(tmp_path)
    os.mkfifo(path)
    with pytest.raises(HostError, match="is not a regular file"):
        load_launch_config(path)
    path.unlink()
    path.write_bytes(b"# \xff\n")
    with pytest.raises(HostError, match="is not UTF-8 text"):
        load_launch_config(path)
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(HostError, match="is larger than"):
        load_launch_config(path)


@given(st.one_of(st.binary(max_size=200), st.text(alphabet='[]="{}.,-_1aT:\n resdnt', max_size=200)))
def test_any_bytes_are_read_or_refused(data: bytes | str) -> None:
    raw = data if isinstance(data, bytes) else data.encode()
    with contextlib.suppress(HostError):
        parse_launch_config(raw, Path("x.toml"))
