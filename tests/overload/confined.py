"""A host that has little memory: a program of its own, in a control group, that tells what it saw as JSON.

Arguments: the directory for its data, and the file of the group to write its process id to.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.errors import HostError
from paglets.core.messages import Message
from paglets.runtime.host import Host
from paglets.runtime.settings import Limits
from tests.overload.agents import Bystander, Flooder, Hungry
from tests.overload.watching import bystander_served, eventually

if TYPE_CHECKING:
    from paglets.remote.proxy import PagletProxy

MIB = 1024 * 1024
MOST_EATERS = 40
"""Some 8 have room; now and then the kernel takes one before a further one is refused, and makes room for another."""


def eaten_by_the_kernel(host: Host) -> dict[str, Any]:
    """A paglet takes more than there is; the kernel ends it, and it is started again."""
    hungry = host.create(Hungry)
    with bystander_served(host):
        try:
            hungry.send(Message("eats", {"mebibytes": 800}), timeout=60)
            error = ""
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            error = f"{type(failure).__name__}: {failure}"
        again = eventually(lambda: hungry.send(Message("note"), timeout=30), "the paglet to be back")
    hungry.dispose()
    return {"error": error, "again": again}


def refused_and_let_in_again(host: Host) -> dict[str, Any]:
    """Paglets take memory until no further one is started; when they have gone, there is room again."""
    eaters: list[PagletProxy] = []
    error = ""
    with bystander_served(host):
        for _ in range(MOST_EATERS):
            try:
                eater = host.create(Flooder)
            except HostError as refusal:
                error = str(refusal)
                break
            eater.send(Message("eats", {"mebibytes": 30}), timeout=30)
            eaters.append(eater)
        tight = host.health()["tight"]
        for eater in eaters:
            eater.dispose()

        def created() -> bool:
            try:
                host.create(Bystander).dispose()
            except HostError:
                return False
            return True

        eventually(created, "room for a paglet")
    return {"eaters": len(eaters), "error": error, "tight": tight}


def main(directory: Path, group: Path) -> None:
    group.write_text(str(os.getpid()))
    limits = Limits(memory_reserve=48 * MIB)
    with Host(
        "confined", mesh_dir=directory / "mesh", persistence_dir=directory / "host", limits=limits
    ) as host:
        told = {"killed": eaten_by_the_kernel(host), "refused": refused_and_let_in_again(host)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
