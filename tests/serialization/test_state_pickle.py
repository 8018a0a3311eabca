from __future__ import annotations

import contextlib
import copyreg
import io
import math
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paglets.core.errors import SerializationError
from paglets.serialization.state_pickle import MAX_DEPTH, dump_state, load_state

keys = st.text() | st.integers() | st.none() | st.binary(max_size=8)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.binary().map(bytearray)
)
plain = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)
states = st.dictionaries(st.text(max_size=10), plain, max_size=6)


def dumped(state: Any) -> bytes:
    file = io.BytesIO()
    dump_state(state, file)
    return file.getvalue()


def assert_plain(value: Any) -> None:
    pending = [value]
    while pending:
        part = pending.pop()
        assert type(part) in {dict, list, str, int, float, bool, type(None), bytes, bytearray}
        if type(part) in (dict, list):
            pending.extend([*part, *part.values()] if isinstance(part, dict) else part)


@given(states)
def test_plain_states_come_back_equal(state: dict[str, Any]):
    data = dumped(state)
    back = load_state(data)
    assert back == state
    assert repr(back) == repr(state)


def test_numbers_of_any_size_survive():
    back = load_state(dumped({"big": 2**5000, "nan": math.nan, "zero": -0.0}))
    assert back["big"] == 2**5000
    assert math.isnan(back["nan"])
    assert math.copysign(1, back["zero"]) == -1


def test_states_are_written_to_and_read_from_files():
    state = {"payload": os.urandom(300_000), "rest": list(range(1000))}
    with tempfile.TemporaryFile() as file:
        file.write(b"before")
        dump_state(state, file)
        file.seek(6)
        assert load_state(file) == state
    assert load_state(memoryview(dumped(state))) == state


loop: list[Any] = []
loop.append(loop)
shared: list[Any] = []
deep: list[Any] = []
for _ in range(MAX_DEPTH + 5):
    deep = [deep]
NOT_PLAIN: list[tuple[Any, str]] = [
    ({"a": (1, 2)}, r"state\['a'\]: a tuple is no plain value"),
    ({"a": [0, {"b": {1}}]}, r"state\['a'\]\[1\]\['b'\]: a set"),
    ({"a": {(1, 2): 3}}, r"state\['a'\]\[\(1, 2\)\] \(key\): a tuple"),
    ({"a": loop}, r"in the state twice, or in itself"),
    ({"a": shared, "b": shared}, r"in the state twice"),
    ({"a": deep}, "deep"),
    ({"a": type("Text", (str,), {})("x")}, "a Text is no plain value"),
    ({"a": object()}, "a object is no plain value"),
]


@pytest.mark.parametrize(("state", "problem"), NOT_PLAIN)
def test_only_plain_values_are_written(state: Any, problem: str):
    file = io.BytesIO()
    with pytest.raises(SerializationError, match=problem):
        dump_state(state, file)
    assert file.getvalue() == b""


class Evil:
    def __reduce__(self) -> Any:
        return os.getcwd, ()


def test_what_names_code_is_refused_with_the_name():
    with pytest.raises(SerializationError, match=r"names '(posix|nt)\.getcwd'"):
        load_state(pickle.dumps({"a": Evil()}))


class Persistent(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return "outside" if obj == "out" else None


def persistent() -> bytes:
    file = io.BytesIO()
    Persistent(file, 5).dump({"a": "out"})
    return file.getvalue()


EMPTY = dumped({})
HOSTILE = {
    "global": b"cos\nsystem\n.",
    "stack global": pickle.dumps({"x": os.getcwd}),
    "builtin": b"cbuiltins\ndict\n)R.",
    "inst": b"(ios\nsystem\n.",
    "old protocol with a class": pickle.dumps({"x": Evil()}, 0),
    "persistent id": persistent(),
    "text persistent id": b"Pabc\n.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "readonly buffer": b"\x80\x05}\x8c\x01a\x96\x01" + bytes(7) + b"x\x98s.",
    "tuple": pickle.dumps({"a": (1,)}),
    "set": pickle.dumps({"a": {1}}),
    "frozenset": pickle.dumps({"a": frozenset({1})}),
    "no dict": pickle.dumps([1]),
    "list in itself": b"\x80\x05}\x94\x8c\x01a]\x94h\x01as.",
    "dict in itself": b"\x80\x05}\x94\x8c\x01ah\x00s.",
    "shared list": pickle.dumps({"a": shared, "b": shared}),
    "trailing byte": EMPTY + b"x",
    "two states": EMPTY + EMPTY,
    "empty": b"",
    "cut short": dumped({"a": "b" * 100})[:-20],
    "unknown protocol": b"\x80\xff}.",
    "reduce of data": b"\x80\x05}K\x01)R.",
    "build of data": b"\x80\x05}}\x8c\x01aK\x01sb.",
    "negative memo": b"\x80\x05}p-1\n.",
    "huge text length": b"\x80\x05\x8d" + struct.pack("<Q", 2**62) + b".",
    "huge bytearray length": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".",
    "huge frame": b"\x80\x05\x95" + struct.pack("<Q", 2**62) + b".",
    "deep": b"\x80\x05}\x8c\x01a" + b"]" * 2000 + b"a" * 1999 + b"s.",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pickles_are_refused(data: bytes):
    with pytest.raises(SerializationError):
        load_state(data)
    with pytest.raises(SerializationError):
        load_state(io.BytesIO(data))


def test_extension_codes_are_no_way_round():
    copyreg.add_extension("os", "getcwd", 0xF0)
    try:
        data = pickle.dumps({"a": os.getcwd})
        assert pickle.loads(data)["a"] is os.getcwd  # now it is in the cache that find_class does not see
        with pytest.raises(SerializationError, match="getcwd"):
            load_state(data)
    finally:
        copyreg.remove_extension("os", "getcwd", 0xF0)
        copyreg.clear_extension_cache()


def test_nesting_as_deep_as_allowed_comes_back_or_is_refused_clearly():
    state: Any = 1
    for _ in range(200):
        state = [state]
    assert load_state(dumped({"a": state})) == {"a": state}


BOMBS = {
    "long binput": b"\x80\x05}r\xff\xff\xff\x7f.",
    "bytearray that lies": b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b".",
    "frame that lies": b"\x80\x05\x95" + struct.pack("<Q", 2**33) + b"}.",
    "bytes that lie": b"\x80\x05\x8e" + struct.pack("<Q", 2**33) + b".",
}
LIMITED = """
import re, resource, sys
from pathlib import Path
from paglets.core.errors import SerializationError
from paglets.serialization.state_pickle import load_state
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
try:
    load_state(bytes.fromhex(sys.argv[1]))
except SerializationError as error:
    # Not ru_maxrss: that begins with what the process it was forked from had.
    print("refused", re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_a_memory_bomb_costs_no_more_than_the_limit_of_its_process(data: bytes):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, data.hex()], capture_output=True, text=True, timeout=30, check=True
    )
    word, kibibytes = done.stdout.split()
    assert word == "refused"
    assert int(kibibytes) < 400 << 10


SEEDS = [
    dumped({"name": "n", "items": [1, 2.5, None, True, b"x", bytearray(b"y")], "nested": {"a": {"b": [[]]}}}),
    dumped({str(number): [number, str(number)] for number in range(40)}),
    *(data for name, data in HOSTILE.items() if not name.startswith("huge")),
]
# Opcodes whose arguments can ask for gigabytes; those are tried under a limit, in processes of their own.
HUNGRY = frozenset(b"r\x8d\x8e\x96\x95\x8b\x54\x58\x42p")


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)), max_size=6),
    st.booleans(),
)
def test_mutated_pickles_give_plain_data_or_one_error(
    seed: bytes, edits: list[tuple[int, bytes]], insert: bool
):
    data = bytearray(seed)
    for place, patch in edits:
        start = place % (len(data) + 1)
        safe = bytes(byte for byte in patch if byte not in HUNGRY)
        data[start : start if insert else start + len(safe)] = safe
    with contextlib.suppress(SerializationError):
        assert_plain(load_state(bytes(data)))


FUZZ_LIMITED = """
import random, resource, sys
from paglets.core.errors import SerializationError
from paglets.serialization.state_pickle import load_state
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
chance = random.Random(int(sys.argv[1]))
seeds = [bytes.fromhex(seed) for seed in sys.argv[2:]]
for _ in range(20000):
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        state = load_state(bytes(data))
    except SerializationError:
        continue
    assert type(state) is dict, state
print("held")
"""


def test_random_damage_never_gets_past_the_one_error_even_when_memory_is_short():
    done = subprocess.run(
        [sys.executable, "-c", FUZZ_LIMITED, "7", *(seed.hex() for seed in SEEDS if seed)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "held", done.stderr[-2000:]
