from __future__ import annotations

import copy
import pickle

import pytest

from paglets.core import errors
from paglets.core.errors import (
    HostError,
    LifecycleError,
    PagletError,
    ResourceCleanupError,
    ServiceContractError,
    ServiceNotFoundError,
    TransferError,
    TransferInDoubtError,
)


def test_every_error_is_in_the_drawn_tree():
    assert errors.__doc__ is not None
    for name, value in vars(errors).items():
        if isinstance(value, type):
            assert issubclass(value, PagletError)
            assert f" {name}\n" in errors.__doc__


def test_the_named_branches():
    assert issubclass(ServiceNotFoundError, ServiceContractError)
    assert issubclass(ServiceContractError, HostError)
    assert issubclass(TransferInDoubtError, TransferError)
    assert issubclass(ResourceCleanupError, LifecycleError)


def test_a_transfer_in_doubt_names_the_transfer():
    error = TransferInDoubtError("host/7")
    assert error.transfer_id == "host/7"
    assert "host/7" in str(error)
    assert "cable" in str(TransferInDoubtError("host/7", "the cable is out"))


def test_a_failed_cleanup_names_every_resource():
    error = ResourceCleanupError({"db": OSError("busy"), "log": ValueError("closed")})
    assert set(error.failures) == {"db", "log"}
    assert "db: OSError: busy" in str(error)
    assert "log: ValueError: closed" in str(error)


@pytest.mark.parametrize(
    "error", [TransferInDoubtError("h/1", "why"), ResourceCleanupError({"a": OSError("x")})]
)
def test_errors_with_data_can_be_copied(error: PagletError):
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
