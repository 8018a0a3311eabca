"""A file system in memory that records, fails and forgets: ``python -m tests.disks.server PLACE SOCKET``.

It is a process of its own, since whoever waits for one of its pages may hold whatever lock a process has. Commands
come on the socket, one JSON document a line, and are answered in the same way; see ``tests.disks.disk``.
"""

from __future__ import annotations

import errno
import json
import os
import random
import selectors
import signal
import socket
import stat
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.disks import fuse
from tests.disks.fuse import Attributes, Op
from tests.disks.recording import Image, Step, after_power_cut

BLOCKS = 1 << 20


@dataclass
class Fault:
    """What is to fail: the ``number``th write or sync from now on, and, when it is ``lasting``, all that follow."""

    number: int
    error: int
    name: str = ""
    """Of the file; empty: of any."""
    lasting: bool = False
    torn: bool = False
    """Half of a write that fails is done all the same."""
    seen: int = 0

    def comes(self, name: str) -> bool:
        """Whether this one fails."""
        if self.name not in {"", name}:
            return False
        self.seen += 1
        return self.seen == self.number or (self.lasting and self.seen > self.number)


@dataclass
class Disk:
    """All files, and what was done to them."""

    image: Image = field(default_factory=Image)
    steps: list[Step] = field(default_factory=list[Step])
    modes: dict[int, int] = field(default_factory=lambda: {fuse.ROOT: 0o40700})
    called: dict[int, str] = field(default_factory=dict[int, str])
    fault: Fault | None = None
    room: int = BLOCKS

    def do(self, step: Step) -> None:
        """Carry out and record."""
        self.image.apply(step)
        self.steps.append(step)

    def fail(self, node: int) -> None:
        """Raise what was asked for, if it is the turn of this write or sync."""
        if self.fault is not None and self.fault.comes(self.called.get(node, "")):
            raise OSError(self.fault.error, "as asked for")

    def attributes(self, node: int) -> Attributes:
        """Of a node, for the kernel."""
        size = 0 if node in self.image.names else len(self.image.files[node])
        return Attributes(node, size, self.modes[node], 1)

    def make(self, parent: int, name: str, mode: int) -> int:
        """A file or directory."""
        node = max(self.modes) + 1
        self.modes[node], self.called[node] = mode, name
        self.do(Step("make", parent, name=name, other=node, is_directory=stat.S_ISDIR(mode)))
        return node

    def child(self, parent: int, name: str) -> int:
        """The node of a name; ``FileNotFoundError``."""
        found = self.image.names[parent].get(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, name)
        return found

    # --- what the kernel asks

    def answer(self, op: int, node: int, body: bytes) -> bytes:
        """The body of an answer; ``OSError``."""
        match op:
            case Op.INIT:
                return fuse.init()
            case Op.STATFS:
                return fuse.statfs(BLOCKS, self.room)
            case Op.GETATTR:
                return fuse.attributes_out(self.attributes(node))
            case Op.OPEN | Op.OPENDIR:
                return fuse.opened(node)
            case Op.RELEASE | Op.RELEASEDIR:
                return b""
            case Op.FSYNC | Op.FSYNCDIR:
                self.fail(node)
                self.do(Step("sync" if op == Op.FSYNC else "sync-names", node))
                return b""
            case _:
                return self._answer_more(op, node, body)

    def _answer_more(self, op: int, node: int, body: bytes) -> bytes:
        match op:
            case Op.LOOKUP:
                return fuse.entry(self.attributes(self.child(node, _text(body))))
            case Op.SETATTR:
                return self._set(node, body)
            case Op.MKDIR | Op.CREATE:
                return self._make(op, node, body)
            case Op.READ | Op.READDIR:
                return self._read(op, node, body)
            case Op.WRITE:
                return self._write(node, body)
            case Op.UNLINK | Op.RMDIR:
                return self._remove(op, node, _text(body))
            case Op.RENAME | Op.RENAME2:
                return self._rename(op, node, body)
            case Op.LINK:
                return self._link(node, body)
            case _:
                raise OSError(errno.ENOSYS, str(op))

    def _set(self, node: int, body: bytes) -> bytes:
        fields = fuse.SETATTR.unpack_from(body)
        if fields[0] & fuse.SIZE:
            self.fail(node)
            self.do(Step("truncate", node, fields[3]))
        if fields[0] & fuse.MODE:
            self.modes[node] = fields[11]
        return fuse.attributes_out(self.attributes(node))

    def _make(self, op: int, parent: int, body: bytes) -> bytes:
        is_directory = op == Op.MKDIR
        start, mode_at = (8, 0) if is_directory else (16, 4)
        mode = struct.unpack_from("=I", body, mode_at)[0] & 0o7777
        node = self.make(parent, _text(body[start:]), mode | (stat.S_IFDIR if is_directory else stat.S_IFREG))
        return fuse.entry(self.attributes(node)) + (b"" if is_directory else fuse.opened(node))

    def _read(self, op: int, node: int, body: bytes) -> bytes:
        _, offset, size, *_ = fuse.TRANSFER.unpack_from(body)
        if op == Op.READ:
            return bytes(self.image.files[node][offset : offset + size])
        found = b""
        for place, (name, child) in enumerate(list(self.image.names[node].items())[offset:], offset + 1):
            packed = fuse.directory_entry(child, place, name, is_directory=child in self.image.names)
            if len(found) + len(packed) > size:
                break
            found += packed
        return found

    def _write(self, node: int, body: bytes) -> bytes:
        _, offset, size, *_ = fuse.TRANSFER.unpack_from(body)
        data = body[fuse.TRANSFER.size : fuse.TRANSFER.size + size]
        try:
            self.fail(node)
        except OSError:
            if self.fault is not None and self.fault.torn:
                self.do(Step("write", node, offset, data[: size // 2]))
            raise
        self.do(Step("write", node, offset, data))
        return struct.pack("=II", size, 0)

    def _remove(self, op: int, parent: int, name: str) -> bytes:
        node = self.child(parent, name)
        if op == Op.RMDIR and self.image.names[node]:
            raise OSError(errno.ENOTEMPTY, name)
        self.do(Step("remove", parent, name=name))
        return b""

    def _rename(self, op: int, parent: int, body: bytes) -> bytes:
        target = struct.unpack_from("=Q", body)[0]
        old, new = body[8 if op == Op.RENAME else 16 :].split(b"\0")[:2]
        node = self.child(parent, old.decode())
        self.do(Step("move", parent, name=old.decode(), other=target, new_name=new.decode()))
        self.called[node] = new.decode()
        return b""

    def _link(self, parent: int, body: bytes) -> bytes:
        node = struct.unpack_from("=Q", body)[0]
        self.do(Step("link", parent, name=_text(body[8:]), other=node))
        return fuse.entry(self.attributes(node))

    # --- what the tests ask

    def command(self, asked: dict[str, Any]) -> Any:
        """Carry out a command."""
        match asked.pop("do"):
            case "position":
                return len(self.steps)
            case "fail":
                self.fault = Fault(**asked)
            case "heal":
                seen = self.fault.seen if self.fault is not None else 0
                self.fault = None
                return seen
            case "cut":
                image = after_power_cut(self.steps[: asked["at"]], random.Random(asked["seed"]))
                image.write_to(Path(asked["to"]))
            case "synced":
                return [number for number, step in enumerate(self.steps, 1) if step.what == "sync"]
            case other:
                raise ValueError(other)
        return None


def _text(body: bytes) -> str:
    return body.split(b"\0", 1)[0].decode()


def main(place: str, path: str) -> None:
    """Serve until the file system is unmounted, or nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    disk = Disk()
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(path)
        lines = door.makefile("rw")
        try:
            kernel = fuse.mount(place)
        except OSError as error:
            _say(lines, str(error))
            return
        _say(lines, None)
        with selectors.DefaultSelector() as selector:
            selector.register(kernel, selectors.EVENT_READ)
            selector.register(door, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj == kernel:
                        if not _serve(disk, kernel):
                            return
                    elif line := lines.readline():
                        _say(lines, disk.command(json.loads(line)))
                    else:
                        fuse.unmount(place)
                        return


def _say(lines: Any, what: Any) -> None:
    lines.write(json.dumps(what) + "\n")
    lines.flush()


def _serve(disk: Disk, kernel: int) -> bool:
    try:
        request = os.read(kernel, fuse.BUFFER)
    except OSError as error:
        return error.errno in {errno.EINTR, errno.ENOENT, errno.EAGAIN}
    _, op, unique, node, *_ = fuse.HEADER.unpack_from(request)
    if op in fuse.SILENT:
        return True
    try:
        answer = fuse.reply(unique, disk.answer(op, node, request[fuse.HEADER.size :]))
    except OSError as error:
        answer = fuse.reply(unique, error=error.errno or errno.EIO)
    try:
        os.write(kernel, answer)
    except OSError as error:
        return error.errno == errno.ENOENT  # nobody waits for it any more
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
