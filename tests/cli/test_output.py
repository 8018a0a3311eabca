"""What people see."""

from __future__ import annotations

import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cli.arguments import PagletName
from edge.cli.failures import printable, sentence
from edge.cli.naming import Found, choose
from edge.cli.output import Output
from edge.cli.tables import Column, Table, fitted, print_table
from edge.cli.units import age, clock, size, span
from paglets.core.errors import InvalidAgentError, TransferInDoubtError


def shown(table: Table) -> str:
    stream = io.StringIO()
    print_table(table, stream)
    return stream.getvalue()


def test_tables_are_whole_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table([Column("ID"), Column("STATE", keep=True)], "none")
    table.add("x" * 300, "active")
    assert "x" * 300 in shown(table)


def test_tables_fit_where_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = Table([Column("ID"), Column("STATE", keep=True), Column("MEMORY", "right", keep=True)], "none")
    table.add("x" * 300, "in-doubt", "1.5 MiB")
    lines = shown(table).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert "in-doubt  1.5 MiB" in lines[1]
    assert "…" in lines[1]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), min_size=1, max_size=8),
    st.integers(1, 200),
)
def test_columns_give_way_only_as_far_as_they_must(columns: list[tuple[bool, int]], available: int) -> None:
    table = Table([Column("T", keep=keep) for keep, _ in columns], "none")
    table.add(*("x" * width for _, width in columns))
    natural = [max(1, width) for _, width in columns]
    widths = fitted(table, available)
    gaps = 2 * (len(widths) - 1)
    assert all(
        width == wanted or not keep for width, wanted, (keep, _) in zip(widths, natural, columns, strict=True)
    )
    if sum(natural) + gaps <= available:
        assert widths == natural
    elif sum(widths) + gaps > available:
        assert all(keep or width <= 6 for width, (keep, _) in zip(widths, columns, strict=True))


def test_an_empty_table_says_what_to_do() -> None:
    assert shown(Table([Column("ID")], "No paglets.")).strip() == "No paglets."


def test_an_optional_column_is_shown_where_somebody_has_something_to_say() -> None:
    table = Table([Column("HOST"), Column("TAGS", optional=True), Column("NOTE", optional=True)], "none")
    table.add("alpha", "", "")
    assert shown(table).split() == ["HOST", "alpha"]
    table.add("beta", "", "lost")
    assert shown(table).split() == ["HOST", "NOTE", "alpha", "beta", "lost"]


def test_nothing_that_is_printed_drives_the_terminal() -> None:
    table = Table([Column("CLASS")], "none")
    table.add("a\x1b[2Jb\x9bc")
    assert "\x1b" not in shown(table)
    assert "\x9b" not in shown(table)
    assert printable("a\x1b[2J\u202eb\nc\td") == "a\\x1b[2J\\u202eb\nc\td"


def test_json_is_one_line_of_ascii_for_programs() -> None:
    stream = io.StringIO()
    Output(as_json=True, stream=stream).document({"name": "Küche\x9b", "n": 2**70})
    assert stream.getvalue().isascii()
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue()) == {"name": "Küche\x9b", "n": 2**70}


def test_a_terminal_without_unicode_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Output(as_json=False, stream=stream).text("Küche …")
    assert raw.getvalue() == b"K\\xfcche \\u2026\n"


def test_errors_are_one_line_and_say_what_to_do() -> None:
    told = sentence(TransferInDoubtError("host/7"))
    assert "`paglets transfers`" in told
    assert "\n" not in sentence(ValueError("first\nsecond"))
    assert sentence(ValueError()) == "ValueError"
    assert len(sentence(ValueError("x" * 10_000))) < 2_100


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (864_000, "10 d")],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (200 * 2**20, "200 MiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


def test_ages_and_times() -> None:
    assert age(None) == "-"
    assert age(100.0, now=90.0) == "0 s"
    assert clock(0.0).startswith(("1970-01-01", "1969-12-31"))
    assert len(clock(time.time())) == 8


def found(agent_id: str, host: str = "alpha") -> Found:
    return Found(agent_id, f"https://{host}:1", host)


def test_of_several_copies_the_asked_hosts_own_is_meant() -> None:
    places = [found("service.x", "alpha"), found("service.x", "beta"), found("service.xyz")]
    assert choose(PagletName("service.x"), places).host_name == "alpha"


def test_one_paglet_on_its_way_is_not_several() -> None:
    assert choose(PagletName("ab"), [found("abc", "alpha"), found("abc", "beta")]).host_name == "alpha"


def test_many_candidates_are_not_all_listed() -> None:
    with pytest.raises(Exception, match="and 12 more; write more of the id"):
        choose(PagletName("x"), [found(f"x{number:02}") for number in range(20)])


def test_nobody_there() -> None:
    with pytest.raises(InvalidAgentError, match="on host beta"):
        choose(PagletName("x", "beta"), [])
    with pytest.raises(InvalidAgentError, match=r"lists those there are$"):
        choose(PagletName("x"), [])


def test_hosts_that_did_not_answer_are_named() -> None:
    with pytest.raises(InvalidAgentError, match="it may be on beta, delta, which did not answer"):
        choose(PagletName("x"), [], ["beta", "delta"])
