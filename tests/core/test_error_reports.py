from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.error_reports import LISTED, MAX_NOTES, MAX_TEXT, from_report, report
from paglets.core.errors import (
    HostError,
    LifecycleError,
    PagletError,
    ResourceCleanupError,
    TransferError,
    TransferInDoubtError,
)


def across(error: BaseException) -> PagletError:
    """What the caller on another host gets."""
    return from_report(json.loads(json.dumps(report(error))))


def caught(error: Exception) -> Exception:
    """The error as it is after it was raised and caught."""

    def raises() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        raises()
    return raised.value


@pytest.mark.parametrize(
    "cls", [cls for cls in LISTED.values() if cls not in (TransferInDoubtError, ResourceCleanupError)]
)
def test_a_listed_class_arrives_as_itself(cls: type[PagletError]):
    arrived = across(cls("what happened"))
    assert type(arrived) is cls
    assert str(arrived) == "what happened"


def test_all_of_the_errors_module_is_listed():
    assert {"PagletError", "SerializationError", "StorageQuotaError", "TransferInDoubtError"} <= set(LISTED)


def test_a_subclass_arrives_as_its_nearest_listed_base():
    class StoreFullError(HostError):
        pass

    class OddMoveError(TransferInDoubtError):
        pass

    assert type(across(StoreFullError("full"))) is HostError
    arrived = across(OddMoveError("h/3"))
    assert type(arrived) is TransferInDoubtError
    assert arrived.transfer_id == "h/3"


def test_any_other_exception_arrives_as_a_host_error_that_names_it():
    arrived = across(ZeroDivisionError("division by zero"))
    assert type(arrived) is HostError
    assert "ZeroDivisionError: division by zero" in str(arrived)
    assert "KeyboardInterrupt" in str(across(KeyboardInterrupt()))


def test_a_class_that_only_shares_a_listed_name_is_a_stranger():
    other = type("TransferError", (Exception,), {})
    assert type(across(other("x"))) is HostError


def test_the_remote_traceback_is_kept_as_a_note():
    error = caught(ValueError("deep down"))
    error.add_note("while counting")
    notes = across(error).__notes__
    assert notes[0] == "while counting"
    assert "Traceback" in notes[1]
    assert "in raises" in notes[1]
    assert "while counting" not in notes[1]


def test_data_of_errors_crosses():
    in_doubt = across(TransferInDoubtError("h/9", "the link is down"))
    assert isinstance(in_doubt, TransferInDoubtError)
    assert (in_doubt.transfer_id, in_doubt.detail) == ("h/9", "the link is down")
    failed = across(ResourceCleanupError({"db": OSError("busy"), "x": TransferError("no")}))
    assert isinstance(failed, ResourceCleanupError)
    assert "OSError: busy" in str(failed.failures["db"])
    assert type(failed.failures["x"]) is TransferError


def test_an_error_that_has_crossed_can_cross_again():
    arrived: Exception = caught(ValueError("start"))
    for _ in range(3 * MAX_NOTES):
        arrived = caught(across(arrived))
    assert "ValueError: start" in str(arrived)
    assert len(across(arrived).__notes__) <= MAX_NOTES


def test_huge_and_unspeakable_messages_are_bounded():
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    told = report(caught(HostError("x" * 10_000_000)))
    assert len(told["message"]) < MAX_TEXT + 100
    assert len(json.dumps(told)) < 4 * MAX_TEXT
    assert "MuteError" in str(across(MuteError()))
    assert str(across(HostError("\ud800"))) == "\\ud800"


def test_cleanup_failures_that_hold_themselves_end():
    error = ResourceCleanupError({})
    error.failures["again"] = error
    error.failures.update({f"r{number}": OSError("busy") for number in range(1000)})
    told = report(error)
    assert len(json.dumps(told)) < 1_000_000
    assert isinstance(from_report(told), ResourceCleanupError)


def test_a_recursion_error_is_reported():
    def forever() -> None:
        forever()

    with pytest.raises(RecursionError) as raised:
        forever()
    assert "RecursionError" in str(across(raised.value))


def test_the_cause_is_part_of_the_traceback():
    def fail() -> None:
        try:
            {}["root"]
        except KeyError as error:
            raise LifecycleError("hook failed") from error

    with pytest.raises(LifecycleError) as raised:
        fail()
    assert "KeyError: 'root'" in across(raised.value).__notes__[0]


NO_REPORTS: list[Any] = [
    None,
    3,
    [],
    "HostError",
    {},
    {"type": "HostError"},
    {"type": 3, "message": "x"},
    {"type": "HostError", "message": None},
    {"type": "SystemExit", "message": "1"},
    {"type": "TransferInDoubtError", "message": "x"},
    {"type": "TransferInDoubtError", "message": "x", "data": {"transfer_id": 4}},
    {"type": "ResourceCleanupError", "message": "x", "data": {"failures": [1]}},
    {"type": "HostError", "message": "x", "notes": 7, "data": 8},
    {"type": "HostError", "message": "x", "notes": [1, None, {}]},
]


@pytest.mark.parametrize("payload", NO_REPORTS)
def test_what_is_no_report_becomes_a_host_error(payload: object):
    assert type(from_report(payload)) is HostError


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


data = st.fixed_dictionaries({}, optional={"transfer_id": values, "failures": values}) | values
types = st.sampled_from(sorted(LISTED)) | values
reports = st.fixed_dictionaries(
    {}, optional={"type": types, "message": values, "notes": values, "data": data}
)


@given(reports)
def test_no_report_whatsoever_does_harm(payload: dict[str, Any]):
    assert isinstance(from_report(payload), PagletError)
    report(from_report(payload))
