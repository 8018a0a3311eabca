"""Finds paglet classes in files, directories and modules, with what it takes to create them.

Authors' modules are imported in processes of their own, one for each directory that has to be on ``sys.path``:
what they do when they are imported (print, hang, exit, crash) reaches nobody else, and two directories may have
modules of one name.
"""

from __future__ import annotations

import os
import pkgutil
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.tooling.class_records import AgentClassRecord, DiscoveryResult
from paglets.tooling.inspector import Inspector, InspectorLostError
from paglets.tooling.sources import MAX_MODULES, ModuleSource, sources_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from paglets.remote.admin_values import AgentDiscoveryConfig

__all__ = ["AgentClassRecord", "DiscoveryResult", "discover_agent_classes"]

MODULE_TIMEOUT = 10.0
"""Seconds that the import of one module may take."""
MAX_LOST = 10
"""Modules below one root that may hang or crash before the rest is left out."""


def discover_agent_classes(
    config: AgentDiscoveryConfig, *, module_timeout: float = MODULE_TIMEOUT
) -> DiscoveryResult:
    """The paglet classes that can be created from the paths and modules of ``config``.

    Never raises for a bad source: a path that is not there, a module that cannot be imported, that exits or
    hangs, and a class whose state could not move are sentences in ``errors``. ``module_timeout`` in seconds.
    """
    errors: list[str] = []
    by_root: dict[str, list[ModuleSource]] = {}
    for path in config.paths:
        for source in sources_of(Path(path), errors):
            by_root.setdefault(source.root, []).append(source)
    by_root.setdefault("", []).extend(_named(config.modules, errors))
    found: dict[str, AgentClassRecord] = {}
    for root, sources in by_root.items():
        if sources:
            with Inspector(root, module_timeout) as inspector:
                for record in _inspected(inspector, sources, errors, expand=not root):
                    found.setdefault(record.class_name, record)
    return DiscoveryResult([found[name] for name in sorted(found)], errors)


def _named(modules: Iterable[str], errors: list[str]) -> Iterator[ModuleSource]:
    for name in modules:
        if all(part.isidentifier() for part in name.split(".")) and name != "__main__":
            yield ModuleSource(name)
        else:
            errors.append(f"Discovery module cannot be imported: {name!r} is no module name")


def _inspected(
    inspector: Inspector, sources: Iterable[ModuleSource], errors: list[str], *, expand: bool
) -> Iterator[AgentClassRecord]:
    """Look into each module; with ``expand`` into all that a package holds, too."""
    waiting = deque(dict.fromkeys(sources))
    done: set[ModuleSource] = set()
    looked_into: set[str] = set()
    lost = 0
    while waiting:
        source = waiting.popleft()
        if source in done:
            continue
        done.add(source)
        try:
            answer = inspector.ask(source.name, source.file)
        except InspectorLostError as error:
            errors.append(f"Discovery module cannot be imported: {source.name}: {error}")
            lost += 1
            if lost == MAX_LOST:
                errors.append(f"Discovery gave up after {lost} such modules; {len(waiting)} are left out")
                return
            continue
        errors.extend(answer.errors)
        yield from answer.records
        if expand:
            waiting += _held(source.name, answer.package, looked_into)
            if len(done) + len(waiting) > MAX_MODULES:
                errors.append(f"Discovery found more than {MAX_MODULES} modules; the rest is left out")
                return


def _held(package: str, directories: Iterable[str], looked_into: set[str]) -> Iterator[ModuleSource]:
    """The modules in a package; none for a directory that was looked into: links may lead in a circle."""
    for directory in directories:
        real = os.path.realpath(directory)
        if real in looked_into:
            continue
        looked_into.add(real)
        for info in pkgutil.iter_modules([directory], package + "."):
            if not info.name.endswith(".__main__"):
                yield ModuleSource(info.name)
