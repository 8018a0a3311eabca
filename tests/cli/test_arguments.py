"""What a person may type."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cli.arguments import PagletName, class_name, json_object, json_value, paglet_name, properties
from edge.cli.failures import UsageError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_any_json_is_passed_on_as_it_is(value: object) -> None:
    text = json.dumps(value)
    assert bytes(json_value(f" {text}\n", "it")) == text.encode()


@given(st.text(max_size=30))
def test_whatever_is_no_json_is_refused_in_a_sentence(text: str) -> None:
    try:
        json.loads(text, parse_constant=pytest.fail)
    except (ValueError, pytest.fail.Exception):
        with pytest.raises(UsageError, match="the text"):
            json_value(text, "the text")
    else:
        json_value(text, "the text")


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "-Infinity", "[" * 100_000, "\udc80", '"\udc80"', "", "1 2"]
)
def test_what_only_looks_like_json_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        json_value(text, "it")


@pytest.mark.parametrize(
    ("text", "kind"), [("[]", "array"), ("1", "number"), ("null", "null"), ("true", "boolean")]
)
def test_an_object_is_insisted_on_where_one_is_needed(text: str, kind: str) -> None:
    with pytest.raises(UsageError, match=kind):
        json_object(text, "it")


def test_ids_and_hosts() -> None:
    assert paglet_name("abc") == PagletName("abc")
    assert paglet_name("service.mesh-info@beta") == PagletName("service.mesh-info", "beta")
    assert paglet_name("x@https://beta:8765") == PagletName("x", "https://beta:8765")


@pytest.mark.parametrize("text", ["", "@beta", "x@", "a b", "a\n"])
def test_what_names_no_paglet(text: str) -> None:
    with pytest.raises(UsageError, match="ID@HOST"):
        paglet_name(text)


@pytest.mark.parametrize("text", ["a:B", "a.b.c:B.C"])
def test_classes(text: str) -> None:
    assert class_name(text) == text


@pytest.mark.parametrize("text", ["", "a", "a:", ":B", "a.:B", "a/b:C", "a:B:C", "a:<locals>.B"])
def test_what_names_no_class(text: str) -> None:
    with pytest.raises(UsageError, match="MODULE:CLASS"):
        class_name(text)


def test_properties_keep_equals_signs_in_their_values() -> None:
    assert properties(["a=1", "b=x=y", "a=2", "c="]) == {"a": "2", "b": "x=y", "c": ""}


@pytest.mark.parametrize("pair", ["a", "=1", " =1", ""])
def test_what_is_no_property(pair: str) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE"):
        properties([pair])
