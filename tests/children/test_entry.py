"""The hidden ways into the program."""

from __future__ import annotations

import sys

import pytest

from paglets.runtime.launchers.entry import CHILD, ZYGOTE, maybe_run, own_command


@pytest.mark.parametrize("arguments", [[], ["host"], ["send", ZYGOTE, "1"], [ZYGOTE], [CHILD, "3"]])
def test_an_ordinary_start_is_none_of_them(arguments: list[str]) -> None:
    assert maybe_run(["paglets", *arguments]) is False


def test_a_frozen_program_starts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert own_command(ZYGOTE, "5", "77", path=["/a", "/b"]) == [
        sys.executable,
        ZYGOTE,
        "5",
        "77",
        "--",
        "/a",
        "/b",
    ]


def test_an_interpreter_is_told_where_the_library_is() -> None:
    command = own_command(CHILD, "5", "77", "", path=["/a"])
    assert command[:2] == [sys.executable, "-c"]
    assert command[3:] == [CHILD, "5", "77", "", "--", "/a"]
