"""Names are imported from the module that owns them; the packages offer none.

But for the built-in services: each of their packages offers its contract, operations and payloads, by design.
"""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import edge
import paglets

PACKAGES = [
    module.name
    for root in (paglets, edge)
    for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")
    if module.ispkg and not module.name.startswith("paglets.system.")
]


@pytest.mark.parametrize("name", ["paglets", "edge", *PACKAGES])
def test_a_package_re_exports_nothing(name: str) -> None:
    package = importlib.import_module(name)
    own = [key for key in vars(package) if not key.startswith("__")]
    offered = [key for key in own if getattr(vars(package)[key], "__name__", "") != f"{name}.{key}"]
    assert not offered, f"{name} offers {offered}"


def test_the_root_package_has_no_host() -> None:
    with pytest.raises(ImportError):
        exec("from paglets import Host")
    with pytest.raises(ImportError):
        exec("from paglets.messages import Message")
