from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import SerializationError
from paglets.serialization.values import BINARY_KEY, MAX_DEPTH, MAX_JSON_BYTES, from_json, to_json
from tests.serialization.samples import Colour, Leaf, Reference

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
)
leaves |= st.text() | st.binary() | st.binary().map(bytearray)
json_values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text().filter(lambda key: key != BINARY_KEY), inner, max_size=5)
    ),
    max_leaves=20,
)


odd_values = st.recursive(
    leaves
    | st.floats()
    | st.sampled_from([dt.date(2026, 1, 2), PurePosixPath("a/b"), *Colour])
    | st.sets(st.integers(), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(json_values | odd_values)
def test_a_short_value_is_written_as_within_a_long_one(value: Any):
    padding = "x" * 1000
    try:
        within = to_json([value, padding])
    except SerializationError:
        with pytest.raises(SerializationError):
            to_json(value)
    else:
        assert within == b'[%b,"%b"]' % (to_json(value), padding.encode())


@given(json_values)
def test_values_come_back_the_same(value: Any):
    raw = to_json(value)
    assert json.loads(raw) is not ...
    back = from_json(raw)
    assert back == value
    assert type(back) is type(value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str):
    with contextlib.suppress(SerializationError):
        from_json(text)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes):
    try:
        value = from_json(data)
    except SerializationError:
        return
    assert from_json(to_json(value)) == value


def test_bytes_have_their_marker():
    assert json.loads(to_json({"a": b"hi"})) == {"a": {BINARY_KEY: "bytes", "base64": "aGk="}}
    assert json.loads(to_json([bytearray(b"hi")])) == [{BINARY_KEY: "bytearray", "base64": "aGk="}]
    assert from_json('{"\\u005f_paglets_binary__": "bytes", "base64": "aGk="}') == b"hi"


@pytest.mark.parametrize(
    "marker",
    [
        {BINARY_KEY: "str", "base64": ""},
        {BINARY_KEY: "bytes"},
        {BINARY_KEY: "bytes", "base64": "?"},
        {BINARY_KEY: "bytes", "base64": 3},
        {BINARY_KEY: [], "base64": ""},
        {BINARY_KEY: "bytes", "base64": "", "x": 1},
    ],
)
def test_a_false_marker_is_refused_both_ways(marker: dict[str, Any]):
    with pytest.raises(SerializationError, match=r"stands for no bytes|not in base64"):
        from_json(json.dumps([marker]))
    with pytest.raises(SerializationError, match=r"value\[0\].*means bytes"):
        to_json([marker])


def test_the_marker_may_be_a_string_anywhere_else():
    for value in (BINARY_KEY, [BINARY_KEY], {"x": BINARY_KEY}, {f'"{BINARY_KEY}"': 1}):
        assert from_json(to_json(value)) == value


@pytest.mark.parametrize(
    ("number", "name"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_what_json_has_no_number_for_is_refused_by_name(number: float, name: str):
    with pytest.raises(SerializationError, match=rf"value\['a'\]\[1\]: {name} cannot be sent"):
        to_json({"a": [1.5, number]})
    assert json.loads(to_json({"a": number}, for_people=True)) == {"a": name}
    with pytest.raises(SerializationError):
        from_json(name)
    with pytest.raises(SerializationError, match="cannot be a key"):
        to_json({number: 1})


def test_arguments_are_converted_as_states_are():
    value = {
        "leaf": Leaf("x", 1.0), "colour": Colour.RED, "path": PurePosixPath("/a"), "day": dt.date(2026, 1, 2),
        "set": {3, 1, 2}, "pair": (1, "a"), "proxy": Reference("u", "i", client=object()),
    }  # fmt: skip
    assert from_json(to_json(value)) == {
        "leaf": {"name": "x", "weight": 1.0}, "colour": "red", "path": "/a", "day": "2026-01-02",
        "set": [1, 2, 3], "pair": [1, "a"], "proxy": {"host_url": "u", "agent_id": "i"},
    }  # fmt: skip


def test_keys_become_strings_and_must_stay_different():
    assert from_json(to_json({1: "a", None: "b", False: "c", 2.5: "d"})) == {
        "1": "a",
        "null": "b",
        "false": "c",
        "2.5": "d",
    }
    with pytest.raises(SerializationError, match="two keys become '1'"):
        to_json([{1: "a", "1": "b"}])
    with pytest.raises(SerializationError, match="cannot be a key"):
        to_json({b"x": 1})


def test_what_cannot_be_said_is_refused():
    for value in (object(), {"a": [lambda: 1]}, 3j, Leaf, "\ud800", {"\ud800": 1}, 10**10_000):
        with pytest.raises(SerializationError, match=r"^value"):
            to_json(value)


def test_depth_is_bounded_both_ways():
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert from_json(to_json(deep)) == deep
    with pytest.raises(SerializationError, match="deep"):
        to_json([deep])
    with pytest.raises(SerializationError, match="deep"):
        from_json(b"[" * 100_000)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(SerializationError, match="holds itself"):
        to_json(loop)


def test_size_is_bounded_both_ways():
    with pytest.raises(SerializationError, match="more than"):
        to_json("x" * MAX_JSON_BYTES)
    with pytest.raises(SerializationError, match="more than"):
        from_json(b'"' + b"x" * MAX_JSON_BYTES + b'"')


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{} {}",
        b'{"a":1,}',
        b"\xff",
        b'"\xff"',
        b"'a'",
        b'{}, "to": "victim"',
        b"1e999",
        b"1" * 10_000,
        "\ud800",
    ],
)
def test_only_one_json_value_is_read(raw: bytes | str):
    with pytest.raises(SerializationError):
        from_json(raw)


def test_any_buffer_is_read():
    for raw in (b'{"a":1}', bytearray(b'{"a":1}'), memoryview(b'{"a":1}'), '{"a":1}'):
        assert from_json(raw) == {"a": 1}
