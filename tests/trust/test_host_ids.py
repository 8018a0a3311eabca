from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.remote.trust.errors import InvalidKeyIdError
from paglets.remote.trust.host_ids import (
    check_host_id,
    digest_of_host_id,
    grouped_host_id,
    host_id_of,
    key_id_of_digest,
    parse_host_id,
    short_host_id,
)

GOOD = host_id_of(bytes(32))
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
public_keys = st.binary(min_size=32, max_size=32)


def test_an_id_is_the_hash_of_the_key_and_two_check_characters() -> None:
    host_id = host_id_of(bytes(32))
    assert host_id == "mzuhvlpymk6xo3epygfy5h4oeaejofefn3rdhm4qfjmr2dk7fesq3k"
    assert digest_of_host_id(host_id) == hashlib.sha256(bytes(32)).digest()


@given(public_keys)
def test_every_id_is_accepted_and_leads_back_to_its_digest(public: bytes) -> None:
    host_id = host_id_of(public)
    assert check_host_id(host_id) == host_id
    assert key_id_of_digest(digest_of_host_id(host_id)) == host_id


@given(public_keys)
def test_every_single_wrong_character_is_noticed(public: bytes) -> None:
    host_id = host_id_of(public)
    for position in range(len(host_id)):
        for character in ALPHABET.replace(host_id[position], ""):
            with pytest.raises(InvalidKeyIdError):
                check_host_id(host_id[:position] + character + host_id[position + 1 :])


@given(public_keys)
def test_every_swap_of_two_characters_is_noticed(public: bytes) -> None:
    host_id = host_id_of(public)
    for first in range(len(host_id)):
        for second in range(first + 1, len(host_id)):
            swapped = list(host_id)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            if swapped != list(host_id):
                with pytest.raises(InvalidKeyIdError):
                    check_host_id("".join(swapped))


@given(st.text(max_size=300))
def test_any_text_is_an_id_or_refused_with_a_bounded_sentence(text: str) -> None:
    for read in (check_host_id, parse_host_id):
        with contextlib.suppress(InvalidKeyIdError):
            assert len(read(text)) == 54


@given(public_keys)
def test_people_may_write_it_in_groups_capitals_and_lookalikes(public: bytes) -> None:
    host_id = host_id_of(public)
    grouped = grouped_host_id(host_id)
    assert len(grouped.split("-")) == 9
    assert parse_host_id(grouped.upper()) == host_id
    assert parse_host_id(f"  {grouped.replace('-', ' ')}\n") == host_id
    assert parse_host_id(host_id.replace("o", "0").replace("l", "1").replace("b", "8")) == host_id


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        (GOOD[:-1], "53 characters, not 54"),
        (GOOD.upper(), "not a-z or 2-7"),
        (GOOD[:10] + "9" + GOOD[11:], "character 11 is '9'"),
        (GOOD[:10] + "\u0430" + GOOD[11:], "character 11"),  # a Cyrillic a
        (GOOD[1] + GOOD[0] + GOOD[2:], "look for a slip"),
        (GOOD + "x" * 10_000, "characters, not 54"),
    ],
)
def test_the_refusal_says_what_is_wrong_in_a_bounded_sentence(spoilt: str, says: str) -> None:
    with pytest.raises(InvalidKeyIdError, match=says) as caught:
        check_host_id(spoilt)
    assert len(str(caught.value)) < 300


def test_two_texts_never_stand_for_one_key() -> None:
    # 52 base32 characters hold 260 bits: the last four of them must be zero.
    body = "a" * 51 + "b"
    total = 52 * 1 % 1021
    with pytest.raises(InvalidKeyIdError, match="behind the end"):
        check_host_id(body + ALPHABET[total >> 5] + ALPHABET[total & 31])


def test_a_key_of_another_length_has_no_id() -> None:
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(InvalidKeyIdError):
            host_id_of(wrong)
        with pytest.raises(InvalidKeyIdError):
            key_id_of_digest(wrong)


def test_the_short_form_is_the_beginning() -> None:
    assert host_id_of(bytes(32)).startswith(short_host_id(host_id_of(bytes(32))))
