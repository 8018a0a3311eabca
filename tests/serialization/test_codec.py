from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import pathlib
import pickle
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paglets.core.errors import SerializationError
from paglets.core.messages import Message
from paglets.serialization.binary import BINARY_KEY
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire
from paglets.serialization.values import from_json, to_json
from tests.serialization.samples import (
    Colour,
    Corner,
    Derived,
    Everything,
    Frozen,
    Leaf,
    LeafPair,
    Loose,
    Oak,
    Pair,
    Reference,
    Tree,
)

HIDDEN = "_hidden"
PLAIN = {dict, list, str, int, float, bool, type(None), bytes, bytearray}
times = st.datetimes(timezones=st.none() | st.timezones())
offsets = st.timedeltas(dt.timedelta(hours=-20), dt.timedelta(hours=20)).map(dt.timezone)
st.register_type_strategy(float, st.floats(allow_nan=False))
# Hypothesis also tries what stands in the source, and this key cannot be used in JSON.
st.register_type_strategy(str, st.text().filter(lambda text: text != BINARY_KEY))
st.register_type_strategy(dt.datetime, st.datetimes() | st.datetimes(timezones=offsets))
st.register_type_strategy(
    pathlib.PurePosixPath, st.text(alphabet="ab/.", max_size=9).map(pathlib.PurePosixPath)
)


def parts_of(value: Any) -> list[Any]:
    """What a container holds, keys too."""
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return [*entries, *entries.values()]
    return [*cast("list[Any]", value)] if isinstance(value, (list, tuple, set, frozenset)) else []


def assert_plain(value: Any) -> None:
    assert type(value) in PLAIN
    for part in parts_of(value):
        assert_plain(part)


def real_numbers(value: Any) -> list[float]:
    """Every float in a state, wherever it is."""
    if dataclasses.is_dataclass(value):
        return [
            number for each in dataclasses.fields(value) for number in real_numbers(getattr(value, each.name))
        ]
    inner = [number for part in parts_of(value) for number in real_numbers(part)]
    return [value] if isinstance(value, float) else inner


@dataclass
class Own:
    x: int = 1

    def to_wire(self) -> dict[str, Any]:
        return dataclass_to_wire(self)

    @classmethod
    def from_wire(cls, payload: dict[str, Any]) -> Own:
        return dataclass_from_wire(cls, payload)


@dataclass
class Owner:
    own: Own


EVERYTHING = st.builds(
    Everything,
    generic=st.builds(Pair, st.builds(Leaf), st.lists(st.builds(Frozen), max_size=2)),
    closed=st.builds(LeafPair, st.builds(Leaf), st.lists(st.sampled_from(Colour), max_size=3)),
    by_day=st.dictionaries(st.dates(), st.builds(Frozen), max_size=3),
)


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=25, deadline=None
)
@given(EVERYTHING)
def test_every_shape_of_state_comes_back(state: Everything):
    wire = dataclass_to_wire(state)
    assert_plain(wire)
    back = dataclass_from_wire(Everything, pickle.loads(pickle.dumps(wire)))
    assert [type(getattr(back, name)) for name in wire] == [type(getattr(state, name)) for name in wire]
    assert list(back.by_name) == list(state.by_name)
    assert repr(back.exact) == repr(state.exact)  # a NaN is not equal to itself
    back.exact = state.exact
    assert back == state
    if math.inf in map(abs, real_numbers(state)):
        with pytest.raises(SerializationError, match="cannot be sent as JSON"):
            to_json(wire)
        return
    again = dataclass_from_wire(Everything, from_json(to_json(wire)))
    again.exact = state.exact
    assert again == state


@pytest.mark.parametrize("microseconds", [1, -1, 999_999, -999_999, 1_000_000, 61_000_001, 0])
def test_a_zone_comes_back_whole(microseconds: int):
    @dataclass
    class Box:
        when: dt.datetime
        hour: dt.time

    zone = dt.timezone(dt.timedelta(microseconds=microseconds))
    box = Box(dt.datetime(2000, 1, 1, 1, tzinfo=zone), dt.time(12, 0, 0, 1, tzinfo=zone))
    back = dataclass_from_wire(Box, dataclass_to_wire(box))
    assert (repr(back.when), repr(back.hour)) == (repr(box.when), repr(box.hour))


def test_sets_are_sorted_and_dicts_are_not():
    @dataclass
    class Box:
        items: set[int | str | None]
        order: dict[str, int]
        loose: Any

    box = Box(
        {"b", 2, None, "a", 1}, {"z": 1, "a": 2}, {"z": {3, 1, 2}, "a": frozenset({(2, "x"), (1, "y")})}
    )
    wire = dataclass_to_wire(box)
    assert wire["items"] == [None, 1, 2, "a", "b"] or sorted(map(repr, wire["items"])) == sorted(
        map(repr, box.items)
    )
    assert list(wire["order"]) == ["z", "a"]
    assert wire["loose"] == {"z": [1, 2, 3], "a": [[1, "y"], [2, "x"]]}
    assert dataclass_from_wire(Box, wire).items == box.items


def test_a_set_looks_the_same_however_it_was_hashed():
    one, two = Loose({f"key {number}" for number in range(50)}), Loose(set[str]())
    for number in reversed(range(50)):
        two.anything.add(f"key {number}")
    assert dataclass_to_wire(one) == dataclass_to_wire(two)
    mixed = Loose({1, "a", 2.5, None, b"x", (1, 2), math.nan})
    assert repr(dataclass_to_wire(mixed)["anything"]) == "[None, b'x', 2.5, nan, 1, [1, 2], 'a']"


def test_numbers_of_any_size_and_nan_survive():
    state = Loose(2**5000, {"nan": math.nan, "inf": -math.inf}, [10**400])
    back = dataclass_from_wire(Loose, dataclass_to_wire(state))
    assert back.anything == 2**5000
    assert math.isnan(back.data["nan"])
    assert back.data["inf"] == -math.inf
    assert dataclass_from_wire(Leaf, {"weight": 10**400}).weight == 10**400
    assert type(dataclass_from_wire(Leaf, {"weight": 3}).weight) is float


def test_the_wire_shares_nothing_with_the_state():
    state = Loose([1, [2]], {"a": {"b": [1]}}, [bytearray(b"x")])
    wire = dataclass_to_wire(state)
    state.anything[1].append(3)
    state.data["a"]["b"].append(2)
    state.items[0].extend(b"y")
    assert wire == {"anything": [1, [2]], "data": {"a": {"b": [1]}}, "items": [bytearray(b"x")]}


def test_unknown_fields_are_ignored_and_missing_ones_take_their_defaults():
    assert dataclass_from_wire(Leaf, {"from a newer release": 1}) == Leaf()
    assert dataclass_from_wire(Frozen, {"tags": ["a"]}) == Frozen(1, ("a",))
    with pytest.raises(SerializationError, match=r"Derived\.base: the field is missing"):
        dataclass_from_wire(Derived, {})


def test_init_only_and_computed_fields_come_back():
    state = Derived(3, scale=5)
    setattr(state, HIDDEN, "seen")
    back = dataclass_from_wire(Derived, dataclass_to_wire(state))
    assert (back.base, back.total, getattr(back, HIDDEN)) == (3, 15, "seen")


def test_generic_bases_know_their_arguments():
    state = LeafPair(Leaf("a"), [], "n")
    back = dataclass_from_wire(LeafPair, dataclass_to_wire(state))
    assert back == state
    assert type(back.first) is Leaf


def test_two_dataclasses_in_one_field_are_told_apart():
    @dataclass
    class Choice:
        kind: Leaf | Oak | Frozen | None = None

    for kind in (Leaf("l"), Oak("o", 1.0, 9), Frozen(4), None):
        back = dataclass_from_wire(Choice, dataclass_to_wire(Choice(kind)))
        assert back.kind == kind
        assert type(back.kind) is type(kind)
    with pytest.raises(SerializationError, match="must say which one"):
        dataclass_from_wire(Choice, {"kind": {"name": "l"}})


def test_a_subclass_is_not_cut_down_silently():
    @dataclass
    class Garden:
        plants: list[Leaf]

    with pytest.raises(SerializationError, match=r"Garden\.plants\[1\]: this Oak would come back as Leaf"):
        dataclass_to_wire(Garden([Leaf(), Oak()]))


def test_references_that_know_their_wire_form_travel_as_it():
    @dataclass
    class Team:
        boss: Reference
        others: dict[str, Reference | None] = field(default_factory=dict[str, Reference | None])
        letter: Message | None = None
        loose: Any = None

    team = Team(
        Reference("https://h:1", "a", client=object()), {"x": Reference("u", "b"), "y": None}, Message("hi")
    )
    team.loose = [Reference("u", "c", client=object())]
    wire = dataclass_to_wire(team)
    assert wire["boss"] == {"host_url": "https://h:1", "agent_id": "a"}
    assert wire["loose"] == [{"host_url": "u", "agent_id": "c"}]
    back = dataclass_from_wire(Team, wire)
    assert (back.boss, back.others, back.letter) == (team.boss, team.others, team.letter)
    with pytest.raises(SerializationError, match=r"Team\.boss: no Reference can be read: KeyError"):
        dataclass_from_wire(Team, {"boss": {}})


def test_a_class_may_use_the_codec_for_its_own_wire_form():
    assert dataclass_from_wire(Owner, dataclass_to_wire(Owner(Own(5)))) == Owner(Own(5))


WRONG: list[tuple[type[Any], dict[str, Any], str]] = [
    (Leaf, {"name": 3}, r"Leaf\.name: expected str, got int"),
    (Leaf, {"weight": True}, r"Leaf\.weight: expected float, got bool"),
    (Tree, {"value": "x"}, r"Tree\.value: expected int, got str"),
    (Tree, {"value": 1.5}, r"Tree\.value: expected int, got float"),
    (Tree, {"left": {"right": {"value": None}}}, r"Tree\.left\.right\.value: expected int, got NoneType"),
    (Tree, {"left": [1]}, r"Tree\.left: expected Tree \| None, got list"),
    (Frozen, {"tags": ["a", 2]}, r"Frozen\.tags\[1\]: expected str, got int"),
    (Frozen, {"tags": "abc"}, r"Frozen\.tags: expected .*, got str"),
    (
        LeafPair,
        {"first": {}, "second": ["blue"]},
        r"LeafPair\.second\[0\]: 'blue' \(str\) is no value of Colour",
    ),
    (Loose, {"data": []}, r"Loose\.data: expected .*, got list"),
]


@pytest.mark.parametrize(("cls", "payload", "problem"), WRONG)
def test_a_wrong_value_is_named_with_class_field_and_type(
    cls: type[Any], payload: dict[str, Any], problem: str
):
    with pytest.raises(SerializationError, match=problem):
        dataclass_from_wire(cls, payload)


def test_a_wrong_value_is_refused_before_it_travels():
    wrong: Any = "many"
    with pytest.raises(SerializationError, match=r"Tree\.left\.value: expected int, got str"):
        dataclass_to_wire(Tree(1, Tree(wrong)))
    with pytest.raises(SerializationError, match=r"Loose\.anything\['a'\]\[0\]: a value of type object"):
        dataclass_to_wire(Loose({"a": [object()]}))
    unset = Frozen.__new__(Frozen)
    with pytest.raises(SerializationError, match=r"Frozen\.number: the field was never set"):
        dataclass_to_wire(unset)


def test_none_is_allowed_where_it_is_the_default():
    sloppy: Any = dataclass(type("Sloppy", (), {"__annotations__": {"name": str}, "name": None}))
    assert dataclass_from_wire(sloppy, dataclass_to_wire(sloppy())) == sloppy()
    assert dataclass_from_wire(sloppy, dataclass_to_wire(sloppy("x"))) == sloppy("x")
    with pytest.raises(SerializationError, match=r"expected str \| None, got int"):
        dataclass_to_wire(sloppy(1))


def test_bytes_come_back_from_json_that_nobody_has_looked_through():
    @dataclass
    class Blobs:
        raw: bytes
        changing: bytearray
        maybe: bytes | str | None

    blobs = Blobs(b"a", bytearray(b"b"), b"c")
    assert dataclass_from_wire(Blobs, json.loads(to_json(dataclass_to_wire(blobs)))) == blobs
    with pytest.raises(SerializationError, match=r"Blobs\.raw: the bytes are not in base64"):
        dataclass_from_wire(Blobs, {"raw": {"__paglets_binary__": "bytes", "base64": "?"}})


def test_what_is_no_dataclass_is_refused():
    for wrong in (3, {"a": 1}, Leaf, None):
        with pytest.raises(SerializationError, match="is no dataclass"):
            dataclass_to_wire(wrong)
    with pytest.raises(SerializationError, match="is no dataclass"):
        dataclass_from_wire(dict, {})
    payload: Any = [1]
    with pytest.raises(SerializationError, match="expected an object"):
        dataclass_from_wire(Leaf, payload)


def test_a_state_that_holds_itself_is_refused():
    tree = Tree()
    tree.left = tree
    loop: list[Any] = []
    loop.append(loop)
    for state in (tree, Loose(loop)):
        with pytest.raises(SerializationError, match="holds itself"):
            dataclass_to_wire(state)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="too deeply"):
        dataclass_to_wire(Loose(deep))


def test_a_constructor_that_refuses_is_an_error_about_the_class():
    @dataclass
    class Picky:
        n: int

        def __post_init__(self) -> None:
            if self.n < 0:
                raise ValueError("n must not be negative")

    with pytest.raises(SerializationError, match="Picky cannot be built: ValueError: n must not"):
        dataclass_from_wire(Picky, {"n": -1})


def test_keys_that_become_the_same_are_refused():
    day = dt.date(2026, 1, 1)
    with pytest.raises(SerializationError, match="same on the wire"):
        dataclass_to_wire(Loose({day: 1, "2026-01-01": 2}))
    with pytest.raises(SerializationError, match="expected a key"):
        dataclass_to_wire(Loose({(1, 2): 1}))


def test_enum_values_of_any_kind_come_back():
    @dataclass
    class At:
        corner: Corner

    assert dataclass_from_wire(At, dataclass_to_wire(At(Corner.FAR))).corner is Corner.FAR


@given(times)
def test_a_moment_stays_the_same_moment(moment: dt.datetime):
    @dataclass
    class When:
        at: dt.datetime

    back = dataclass_from_wire(When, dataclass_to_wire(When(moment))).at
    assert back.utcoffset() == moment.utcoffset()
    assert back.replace(tzinfo=None, fold=0) == moment.replace(tzinfo=None, fold=0)


def test_pairs_annotated_without_arguments_hold_anything():
    pair: Pair[Any, Any] = Pair(1, ["x", None])
    assert dataclass_from_wire(type(pair), dataclass_to_wire(pair)) == pair
