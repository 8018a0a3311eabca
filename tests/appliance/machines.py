"""Whole appliances on machines of a small network, or on this one, and the command line run against them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cli.site import AGENTS, Site

if TYPE_CHECKING:
    from tests.netns import Device

ROOT = Path(__file__).parents[2]
NOTEBOOK = "cli_samples:Notebook"


@dataclass
class Machines(Site):
    """Hosts as they are installed: they listen everywhere, and find each other by themselves."""

    devices: dict[str, Device] = field(default_factory=dict[str, "Device"])

    def enrol(self, name: str) -> Path:
        """Credentials of the one mesh in a directory of the machine's own, so that only the network is shared."""
        own = self.root / f"mesh-{name}"
        if not own.exists():
            if not (self.root / "mesh" / "authority.crt").exists():
                self._found_mesh()
            shutil.copytree(self.root / "mesh", own)
        return own

    def _found_mesh(self) -> None:
        code = "import sys; from pathlib import Path; from paglets.remote.trust.mesh_directory import MeshDirectory"
        code += "; MeshDirectory(Path(sys.argv[1])).authority"
        subprocess.run(
            [sys.executable, "-c", code, str(self.root / "mesh")], cwd=ROOT, timeout=30, check=True
        )

    def boot(
        self, name: str, *options: str, on: Device | None = None, port: int = 0, **environ: str
    ) -> subprocess.Popen[bytes]:
        """Start a host, on a machine of its own if one is given."""
        command = [
            sys.executable, "-m", "edge", "host", "--name", name, "--port", str(port),
            "--data-dir", str(self.data_dir(name)), "--code-path", str(AGENTS), *options,
        ]  # fmt: skip
        environ = {**self.environ, **environ}
        if on is not None:
            environ["PAGLETS_MESH_DIR"] = str(self.enrol(name))
            command = on.command(*command)
            self.devices[name] = on
        with (self.root / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=ROOT,
            )
        self.hosts[name] = process
        return process

    def attempt(self, *options: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
        """Start a host that is expected to end by itself."""
        command = [sys.executable, "-m", "edge", "host", "--bind", "127.0.0.1", "--no-discovery", *options]
        return subprocess.run(
            command if "--port" in options else [*command, "--port", "0"],
            env=self.environ,
            cwd=ROOT,
            user=user,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def knows(self, name: str, other: str, *, online: bool = True) -> bool:
        """Whether a host lists the other, as online or not."""
        done = self.on(name, "hosts", "--json")
        return done.code == 0 and any(
            host["name"] == other and host["online"] is online for host in done.json
        )

    def line_of(self, name: str, agent_id: str) -> dict[str, Any]:
        """A paglet's line in `ps --all`."""
        (line,) = [line for line in self.ask(name, "ps", "--all") if line["agent_id"] == agent_id]
        return line

    def written(self, name: str) -> int:
        """Bytes that a host has caused to be written to disk, by /proc."""
        text = Path(f"/proc/{self.hosts[name].pid}/io").read_text()
        return int(dict(line.split(": ") for line in text.splitlines())["write_bytes"])

    def processor(self, name: str) -> float:
        """Seconds of processor time that a host has used."""
        fields = Path(f"/proc/{self.hosts[name].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
