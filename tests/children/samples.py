"""Paglets for the tests of children; imported by the children only."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import paglets.runtime.child.state_text as state_text
from paglets.core.agent import NOT_HANDLED, Paglet, PagletState
from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import HostError, PagletError
from paglets.core.messages import Message

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent, CreationEvent, MobilityEvent, PersistencyEvent


@dataclass
class NotesState(PagletState):
    notes: list[str] = field(default_factory=list[str])
    data: bytes = b""
    count: int = 0


class Notes(Paglet[NotesState]):
    """Writes down what happens to it, and does what it is told."""

    State = NotesState

    def on_creation(self, event: CreationEvent) -> None:
        self.note(f"creation {event.init!r} at {event.host_name}")

    def on_arrival(self, event: MobilityEvent) -> None:
        self.note(f"arrival from {event.source_host_name}")

    def on_clone(self, event: CloneEvent) -> None:
        self.note(f"clone of {event.source_agent_id}")

    def on_activation(self, event: PersistencyEvent) -> None:
        self.note(f"activation {event.reason}")

    def on_dispatching(self, event: MobilityEvent) -> None:
        self.note(f"dispatching to {event.target_host_name}")
        if event.target_host_name == "forbidden":
            raise RuntimeError("not there")
        if event.target_host_name == "slowly":
            time.sleep(0.3)

    def on_reverting(self, event: MobilityEvent) -> None:
        self.note(f"reverting {event.reason}")

    def on_cloning(self, event: CloneEvent) -> None:
        self.note("cloning")

    def on_cloned(self, event: CloneEvent) -> None:
        self.note(f"cloned as {event.clone_agent_id} on {threading.current_thread().name}")

    def on_deactivating(self, event: PersistencyEvent) -> None:
        assert event.request is not None
        self.note(f"deactivating {event.reason} {event.request.metadata}")

    def on_disposing(self, event: PersistencyEvent) -> None:
        self.note("disposing")
        sys.stdout.write("disposed\n")

    def on_dispatch_failed(self, event: MobilityEvent) -> None:
        self.note(f"failed to reach {event.target_host_name} on {threading.current_thread().name}")

    def deactivation_policy(self, request: DeactivationRequest) -> DeactivationPolicy:
        return request.policy or DeactivationPolicy(activate_on_message=False)

    def note(self, text: str) -> None:
        with self.locked_state() as state:
            state.notes.append(text)

    def handle_message(self, message: Message) -> Any:
        method = getattr(self, f"do_{message.kind}", None)
        return NOT_HANDLED if method is None else method(message)

    def do_echo(self, message: Message) -> Any:
        return message.arg if message.arg is not None else message.args

    def do_who(self, message: Message) -> Any:
        return {"sender": message.sender, "id": message.message_id, "thread": threading.current_thread().name}

    def do_notes(self, _message: Message) -> Any:
        return self.state.notes

    def do_count(self, message: Message) -> Any:
        self.state.count += 1
        return self.state.count

    def do_fill(self, message: Message) -> Any:
        self.state.data = os.urandom(1024) * (message.get_arg("size") // 1024)
        return len(self.state.data)

    def do_size(self, _message: Message) -> Any:
        return len(self.state.data)

    def do_fail(self, message: Message) -> Any:
        raise ZeroDivisionError("it cannot be divided")

    def do_unserializable(self, _message: Message) -> Any:
        return object()

    def do_print(self, message: Message) -> Any:
        sys.stdout.write(message.args["text"])
        sys.stdout.flush()

    def do_warn(self, _message: Message) -> Any:
        sys.stderr.write("to stderr\n")

    def do_open(self, message: Message) -> Any:
        name = message.args["name"]

        def close() -> None:
            self.note(f"closed {name}")
            if message.args.get("fail"):
                raise OSError("it is stuck")

        self.resources.register(name, None, close)

    # --- moving

    def do_go(self, message: Message) -> Any:
        """Move from a handler, and tell what came of it."""
        return self.go(message.args["to"], then=message.args.get("then", ""))

    def go(self, to: str, then: str = "") -> Any:
        try:
            proxy = self.dispatch(to)
        except PagletError as error:
            return {"error": type(error).__name__, "text": str(error), "notes": list(self.state.notes)}
        after = ""
        try:
            if then == "send":
                self.send("somebody", Message("hello"))
            elif then == "clone":
                self.clone()
            elif then == "work_dir":
                self.work_dir()
        except PagletError as error:
            after = type(error).__name__
        return {"host_url": proxy.host_url, "after": after}

    def do_clone_me(self, _message: Message) -> Any:
        return self.clone().agent_id

    def do_checkpoint(self, _message: Message) -> Any:
        self.checkpoint()

    def do_checkpoint_beside(self, message: Message) -> None:
        """Have another thread save, which has to wait so many seconds for the lock of the state."""
        held = threading.Event()

        def hold() -> None:
            with self.locked():
                held.set()
                time.sleep(message.args["seconds"])

        threading.Thread(target=hold, daemon=True).start()
        held.wait(10.0)
        threading.Thread(target=self.checkpoint, daemon=True).start()

    def do_property(self, message: Message) -> Any:
        self.context.set_property("colour", message.arg)
        return self.context.get_property("colour")

    def do_fanout(self, _message: Message) -> Any:
        replies = self.multicast("hello", {"n": 1}, include_self=False)
        return sorted(reply.get_reply() for reply in replies)

    def do_wait(self, message: Message) -> Any:
        return self.wait_message(message.args.get("timeout", 10.0))

    def do_files(self, _message: Message) -> Any:
        (self.work_dir() / "a.txt").write_text("hello")
        self.persistent_storage().write_text("b.txt", "kept")
        return str(self.work_dir())

    def do_follow(self, _message: Message) -> Any:
        proxy = self.context.get_proxy("friend", "https://second:8765")
        assert proxy is not None
        return [proxy.send(Message("hello")), proxy.host_url]

    def do_place(self, _message: Message) -> Any:
        return [self.context.name, self.context.address]

    # --- behaving badly

    def do_sleep(self, message: Message) -> Any:
        time.sleep(message.args["seconds"])
        return "slept"

    def do_spin(self, _message: Message) -> Any:
        while True:
            pass

    def do_exit(self, message: Message) -> Any:
        sys.exit(message.args.get("code", 3))

    def do_hard_exit(self, _message: Message) -> Any:
        os._exit(7)

    def do_suicide(self, message: Message) -> Any:
        os.kill(os.getpid(), message.args["signal"])
        time.sleep(30)

    def do_close_link(self, _message: Message) -> Any:
        os.close(self.link_descriptor())
        time.sleep(30)

    def do_shut_link(self, _message: Message) -> Any:
        self.raw_link().shutdown(socket.SHUT_RDWR)
        time.sleep(30)

    def do_raw(self, message: Message) -> Any:
        self.raw_link().sendall(bytes.fromhex(message.args["hex"]))
        time.sleep(30)

    def do_lie_about_state(self, message: Message) -> Any:
        """From now on tell a state that is no JSON, of that many bytes."""
        text = b"{} " * (message.args["size"] // 3 + 1)

        def lie(value: Any, *, for_people: bool = False, limit: int = 0) -> bytes:
            return text

        state_text.to_json = lie

    def do_wrong_descriptor(self, message: Message) -> Any:
        """Announce a payload in a memory file, and send something else."""
        with Path("/dev/zero").open("rb") as zero:
            frame = msgspec.msgpack.encode(["snapshot", message.args["seq"], [None, 10], {}])
            socket.send_fds(self.raw_link(), [struct.pack(">I", len(frame)) + frame], [zero.fileno()])
        time.sleep(30)

    def do_flood_descriptors(self, _message: Message) -> Any:
        link = self.raw_link()
        for _ in range(100):
            socket.send_fds(link, [b"\0"], [0, 1, 2])
        time.sleep(30)

    def do_flood_calls(self, message: Message) -> Any:
        proxy = self.context.get_proxy("friend", "https://second:8765")
        assert proxy is not None
        done = refused = 0
        for reply in [proxy.send_future(Message("hello")) for _ in range(message.args["number"])]:
            try:
                done += reply.get_reply() == "done"
            except HostError as error:
                refused += "under way already" in str(error)
        return done, refused

    def do_eat(self, message: Message) -> Any:
        return len(bytearray(message.args["bytes"]))

    def do_descriptors(self, _message: Message) -> Any:
        found: dict[str, str] = {}
        for each in Path("/proc/self/fd").iterdir():
            try:
                found[each.name] = str(each.readlink())
            except FileNotFoundError:
                continue
        return found

    def do_surroundings(self, _message: Message) -> Any:
        return {
            "cwd": str(Path.cwd()),
            "path": sys.path,
            "environ": dict(os.environ),
            "session": os.getsid(0),
            "pid": os.getpid(),
            "parent": os.getppid(),
        }

    def do_grandchild(self, _message: Message) -> Any:
        return subprocess.Popen(["/bin/sleep", "300"]).pid

    def raw_link(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self.link_descriptor()))

    def link_descriptor(self) -> int:
        """The lowest descriptor that is a Unix stream socket: the link."""
        for number in range(3, 64):
            try:
                if "socket" in str(Path(f"/proc/self/fd/{number}").readlink()):
                    return number
            except FileNotFoundError:
                continue
        raise AssertionError("there is no link")


class Runner(Notes):
    """Has a ``run()``, which does what the state says."""

    def run(self) -> None:
        order = self.state.notes[0] if self.state.notes else ""
        match order.split(" ", 1):
            case ["go", to]:
                self.note(f"went {self.go(to)} on {threading.current_thread().name}")
            case ["go-locked", to]:
                with self.locked():
                    self.note(f"went {self.go(to)}")
            case ["raise", text]:
                raise ValueError(text)
            case ["wait", seconds]:
                self.note(f"woken {self.wait_message(float(seconds))}")
            case _:
                self.note("ran")


class LateRunner(Notes):
    """Decides in its first hook what its ``run()`` is."""

    def on_creation(self, event: CreationEvent) -> None:
        super().on_creation(event)
        self.run = lambda: self.note("ran")


class Fragile(Notes):
    """Does not arrive at the first try."""

    tries = 0

    def on_arrival(self, event: MobilityEvent) -> None:
        self.tries += 1
        if self.tries == 1:
            raise RuntimeError("not ready yet")
        super().on_arrival(event)


class Careless(Paglet[NotesState]):
    """Does not pass its id on."""

    State = NotesState

    def __init__(self, state: NotesState | None = None, *, agent_id: str | None = None) -> None:
        super().__init__(state)


class Stateless(Paglet[Any]):
    """Has no dataclass."""

    State = dict


class NoPaglet:
    """Is none."""

    State = NotesState


@dataclass
class OtherState:
    size: int = 0


class Slow(Notes):
    """Takes for ever to make."""

    def __init__(self, state: NotesState | None = None, *, agent_id: str | None = None) -> None:
        super().__init__(state, agent_id=agent_id)
        time.sleep(60)
