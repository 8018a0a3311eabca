"""One site with two hosts for the commands of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def pair(site: Site) -> Site:
    """The site with two hosts, alpha and beta, that know each other."""
    site.start("alpha")
    address = site.wait_ready("alpha")
    site.start("beta", "--peer", address)
    site.wait_ready("beta")
    for name in ("alpha", "beta"):
        site.until(lambda name=name: len(site.ask(name, "hosts")) == 2, "they know each other")
    return site
