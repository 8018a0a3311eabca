from __future__ import annotations

import pytest

from paglets.core.runtime_values import (
    ArrivalMode,
    EnvelopeKind,
    LaunchConfigSyncAction,
    ResidentLifecycle,
    ServiceScope,
    enum_from_wire,
    require_enum,
)


def test_values_are_the_lower_case_names():
    for enum_cls in (ServiceScope, ResidentLifecycle, ArrivalMode, EnvelopeKind):
        assert all(member.value == member.name.lower() for member in enum_cls)
    assert LaunchConfigSyncAction.UPDATE_AVAILABLE == "update-available"


def test_python_takes_members_only():
    assert require_enum(ServiceScope.MESH, ServiceScope, "scope") is ServiceScope.MESH
    for wrong in ("mesh", 1, None, ArrivalMode.ACTIVATE):
        with pytest.raises(TypeError, match="scope"):
            require_enum(wrong, ServiceScope, "scope")


def test_the_wire_holds_strings():
    assert enum_from_wire("lazy", ResidentLifecycle, "lifecycle") is ResidentLifecycle.LAZY
    with pytest.raises(TypeError, match="lifecycle"):
        enum_from_wire(1, ResidentLifecycle, "lifecycle")
    with pytest.raises(ValueError, match=r"^lifecycle must be one of: lazy, eager$"):
        enum_from_wire("LAZY", ResidentLifecycle, "lifecycle")
