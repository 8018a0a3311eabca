"""A host in a process of its own: ``python -m tests.faults.driver JSON``. Commands come on stdin, one a line.

Prints ``{"ready": URL}`` when it can be called. ``stop`` and ``shutdown`` end it in order; so does the end of stdin,
which it has when the tests die.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from paglets.runtime.host import Host
from paglets.runtime.launchers.zygote_launcher import shared_keeper
from paglets.testing.points import VARIABLE, Points
from paglets.testing.store import FaultyStore
from tests.faults.seams import open_seams


def main(options: dict[str, Any]) -> None:
    data_dir = Path(options["data_dir"])
    points = Points(Path(options["points"]))
    os.environ[VARIABLE] = options["points"]
    open_seams(points)
    data_dir.mkdir(parents=True, exist_ok=True)
    host = Host(
        options["name"],
        port=options["port"],
        peers=options["peers"],
        mesh_dir=options["mesh_dir"],
        persistence_dir=data_dir,
        mesh_gossip_interval=0.25,
        mesh_offline_after=2.0,
        store=FaultyStore(data_dir / "store", points),
    )
    host.start_background()
    _say({"ready": host.address, "zygote": shared_keeper().pid})
    for line in sys.stdin:
        if line.strip() == "shutdown":
            host.shutdown()
            break
        if line.strip() == "stop":
            break
    host.stop()
    _say({"stopped": True})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
