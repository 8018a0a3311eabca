from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.incarnation import Incarnation, Lineage
from paglets.remote.trust.errors import MalformedFrameError
from paglets.remote.trust.strict_json import read_strict, write_strict


class Thing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    number: int
    share: float
    life: Incarnation
    free: dict[str, Any] = {}


def text(**changes: str) -> bytes:
    """The JSON text of a thing, each field's value as written."""
    fields = {"name": '"n"', "number": "1", "share": "0.5", "life": '[[0,""],1]', "free": "{}"} | changes
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


def refusal(data: bytes) -> str:
    with pytest.raises(MalformedFrameError) as caught:
        read_strict(data, Thing, what="a thing")
    assert len(str(caught.value)) < 400
    assert str(caught.value).isascii()
    return str(caught.value)


def test_what_is_all_there_is_read() -> None:
    assert read_strict(text(), Thing, what="a thing") == Thing("n", 1, 0.5, Incarnation(Lineage(), 1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(st.builds(Thing, st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e9, 1e9),
                 st.builds(Incarnation, st.builds(Lineage, st.integers(0, 9), st.text()), st.integers(1, 9)),
                 st.dictionaries(st.text(), json_values, max_size=4)))  # fmt: skip
def test_whatever_we_write_we_read(thing: Thing) -> None:
    assert write_strict(thing).isascii()
    assert read_strict(write_strict(thing), Thing, what="a thing") == thing
    assert read_strict(msgspec.json.encode(thing), Thing, what="a thing") == thing


@given(st.binary(max_size=300))
def test_garbage_is_refused_with_the_documented_error(data: bytes) -> None:
    refusal(data)


def test_doubled_fields_are_refused_at_every_level() -> None:
    assert "twice" in refusal(text()[:-1] + b',"number":2}')
    assert "twice" in refusal(text(free='{"a":1,"a":1}'))
    assert "twice" in refusal(text(free='{"deep":[{"a":1,"\\u0061":2}]}'))


def test_missing_and_unknown_fields_are_refused_even_those_with_a_default() -> None:
    assert "lacks the field 'free'" in refusal(text().replace(b',"free":{}', b""))
    assert "does not belong" in refusal(text(more="1"))
    assert "does not belong" in refusal(text(**{"\u202enumber": "1"}))


@pytest.mark.parametrize(
    "life", ["[]", '[[0,""]]', "[[0],1]", '[[0,""],1,2]', '[[0,"",3],1]', "null", "{}", '"1"']
)
def test_lists_have_all_their_elements_and_no_more(life: str) -> None:
    refusal(text(life=life))


@pytest.mark.parametrize(
    "number", ['"1"', "1.5", "true", "null", "1e400", "-", "01", "9223372036854775808", "9" * 5000]
)
def test_numbers_are_of_their_type_and_in_bounds(number: str) -> None:
    refusal(text(number=number))


@pytest.mark.parametrize("share", ["NaN", "Infinity", "-Infinity", "1e999", '"0.5"', "true"])
def test_there_is_no_infinity_and_nothing_that_is_no_number(share: str) -> None:
    refusal(text(share=share))
    refusal(text(free=f'{{"a":{share if share[0] != chr(34) else "NaN"}}}')) if share != "true" else None


def test_text_is_utf_8_and_can_be_written_again() -> None:
    refusal(text().decode().encode("utf-16"))
    refusal(b"\xef\xbb\xbf" + text())
    refusal(text(name='"\xff"').decode().encode("latin-1"))
    refusal(text(name='"\\ud800"'))
    refusal(text(free='{"a":["\\udfff"]}'))
    refusal(text(free='{"\\ud800":1}'))
    assert read_strict(text(name='"\\ud83c\\udf73"'), Thing, what="a thing").name == "\U0001f373"


def test_nesting_is_bounded() -> None:
    refusal(text(free='{"a":' + "[" * 20 + "]" * 20 + "}"))
    refusal(text(free='{"a":' + "[" * 100_000 + "]" * 100_000 + "}"))
    refusal(b"[" * 1_000_000)


@pytest.mark.parametrize("beside", ["1", '"[[[[[[[["', "[[],[],[],[],[],[],[],[],[],[]]"])
def test_it_is_the_nesting_that_counts_and_not_the_brackets(beside: str) -> None:
    for depth, fits in ((15, True), (16, False)):
        data = text(free=f'{{"a":{"[" * depth}{"]" * depth},"b":{beside}}}')
        if fits:
            assert read_strict(data, Thing, what="a thing").free["b"] == msgspec.json.decode(beside)
        else:
            assert "nested too deeply" in refusal(data)


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b'"text"', b"1", text() + text(), text() + b"x", b"//\n" + text()]
)
def test_it_is_one_object_and_nothing_else(data: bytes) -> None:
    refusal(data)
