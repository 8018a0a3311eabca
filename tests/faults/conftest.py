from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import PagletError
from tests.faults.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Keeper:
    """Keeps a site for the next test, as long as the tests on it pass."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._site: Site | None = None

    def get(self) -> Site:
        """A running site."""
        if self._site is None:
            self._site = Site(self._factory.mktemp("site"), ["a", "b"])
            try:
                self._site.start()
            except BaseException:
                self.drop()
                raise
        return self._site

    def drop(self) -> None:
        """Leave nothing of it."""
        site, self._site = self._site, None
        if site is not None:
            site.close()


@pytest.fixture(scope="session")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path_factory)
    yield keeper
    keeper.drop()


@pytest.fixture
def site(keeper: Keeper, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Two hosts, a and b, that know each other; kept from test to test until one fails."""
    failed = request.session.testsfailed
    site = keeper.get()
    for node in site.nodes.values():
        node.points.clear()
        if node.process is None:
            node.start()
    yield site
    if request.session.testsfailed != failed or not _tidied(site):
        keeper.drop()


def _tidied(site: Site) -> bool:
    """Dispose of the paglets of the test; whether that went well."""
    try:
        for node in site.nodes.values():
            if node.process is None:
                return False
            node.points.clear()
        for copy in site.copies():
            site.proxy(copy.host, copy.agent_id).dispose()
    except PagletError:
        return False
    return True


@pytest.fixture
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Makes a site of a test's own: ``make_site("a", "b")``, started."""
    made: list[Site] = []

    def make(*names: str) -> Site:
        site = Site(tmp_path_factory.mktemp("site"), names)
        made.append(site)
        site.start()
        return site

    yield make
    for site in made:
        site.close()
