"""Paglets that a host creates by itself when it starts."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import PagletError
from paglets.persistence.records import Phase
from paglets.remote.api import NULL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.config.launch_config import AutoStartSpec
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.store import Store
    from paglets.runtime.births import Births

logger = logging.getLogger(__name__)

_PAGE = 1000
_LIVES_HERE = frozenset({Phase.ACTIVE, Phase.INACTIVE, Phase.PREPARED})


class StartupPaglets:
    """Creates them in the background, one after the other, in the order of the configuration.

    One that the host has already is left alone: by its id, or for a singleton without one, by its class. What
    cannot be created is named in the log and in ``failures``.
    """

    def __init__(self, *, births: Births, store: Store) -> None:
        self._births = births
        self._store = store
        self._task: asyncio.Task[None] | None = None
        self.failures: dict[str, str] = {}

    def start(self, wanted: Sequence[AutoStartSpec]) -> None:
        """Begin to create them."""
        if wanted:
            self._task = asyncio.create_task(self._create_all(wanted), name="startup paglets")

    async def _create_all(self, wanted: Sequence[AutoStartSpec]) -> None:
        for spec in wanted:
            try:
                if not await asyncio.to_thread(self._is_here, spec):
                    await self._create(spec)
            except PagletError as error:
                self.failures[spec.class_name] = str(error)
                logger.warning(
                    "a paglet of the launch configuration could not be created",
                    extra={"class": spec.class_name, "asked_for_in": spec.source, "error": str(error)},
                )

    async def _create(self, spec: AutoStartSpec) -> None:
        await self._births.create(
            class_name=spec.class_name,
            state_json=NULL if spec.state is None else msgspec.Raw(msgspec.json.encode(spec.state)),
            init=spec.init,
            agent_id=spec.agent_id or "",
        )

    def _is_here(self, spec: AutoStartSpec) -> bool:
        if spec.agent_id is not None:
            record = self._store.read_sync(lambda tx: tx.paglet(spec.agent_id or ""))
            # Where it has moved on, or was disposed of, it is not made again.
            return record is not None
        return bool(spec.singleton) and self._store.read_sync(lambda tx: _has_class(tx, spec.class_name))

    async def aclose(self) -> None:
        """Create no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _has_class(tx: ReadTransaction, class_name: str) -> bool:
    after = ""
    while True:
        batch = tx.paglets(after, _PAGE)
        if any(each.class_name == class_name and each.phase in _LIVES_HERE for each in batch):
            return True
        if len(batch) < _PAGE:
            return False
        after = batch[-1].agent_id
