"""A rehearsal: a child that nobody waits for admits a paglet of its own first, and handles a message with it.

A process that was forked gets a page of its own, for some microseconds, when it first touches one, and it touches
nearly all that a paglet needs between its first frame and its first message. Having rehearsed, it touches no page
for the first time while somebody waits. And those that are forked after it may know which pages these are.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import socket
import sys
import threading
from io import BytesIO
from typing import TYPE_CHECKING

from paglets.core.incarnation import Incarnation
from paglets.persistence.records import HookKind
from paglets.remote.proxy import PagletProxy
from paglets.runtime.child.admission import Admission
from paglets.runtime.child.link import ChildLink
from paglets.runtime.child.main import admitted
from paglets.runtime.child_specs import AdmitSpec, Departure, DepartureKind, Limits, Message
from paglets.runtime.frames import Admit, Deliver, Depart, PayloadHead, Prepare, RunHook, encode_frame
from paglets.serialization.state_pickle import dump_state

if TYPE_CHECKING:
    from collections.abc import Callable

_SAMPLE = "paglets.runtime.child.sample:Sample"
_UNUSED = "this"
"""A module of the standard library that nobody imports, and that is found before authors' code is searched."""


def _nothing() -> None:
    return


def rehearse() -> None:
    """Live through the beginning of a life, and leave nothing behind but what is in memory.

    It is work for later, so it steps aside for whoever waits for the processor: a reply, or a disk that has written.
    """
    live_briefly(os.sched_yield)
    gc.collect()  # of what is its own: what it was forked with is frozen


def begin_thread() -> None:
    """Begin a thread and end it: what it needs of its own stays with the process for the next one."""
    thread = threading.Thread(target=_nothing, daemon=True)
    thread.start()
    thread.join()


def rehearse_and_forget() -> None:
    """The same in a process that children are forked from: without a thread, and with nothing imported afterwards."""
    live_briefly()
    module = _SAMPLE.partition(":")[0]
    package, _, name = module.rpartition(".")
    sys.modules.pop(module, None)
    vars(sys.modules[package]).pop(name, None)
    PagletProxy.process_client = None


def live_briefly(step_aside: Callable[[], None] = _nothing) -> None:
    """The beginning of a life, up to its first message. ``step_aside`` is called now and then."""
    host, child = socket.socketpair()
    with host, child:
        link = ChildLink(child)
        spec, state = _sample()
        host.sendall(encode_frame(Prepare(spec, state.size)) + encode_frame(Admit(0, state)))
        first = next(link.frames())
        if not isinstance(first, Prepare):
            raise TypeError("a rehearsal begins with what a life begins with")
        step_aside()
        importlib.util.find_spec(_UNUSED)
        step_aside()
        admission = Admission(first.spec, first.size)
        admission.import_classes()
        frame = next(link.frames())
        if not isinstance(frame, Admit):
            raise TypeError("a rehearsal goes on with an admission")
        step_aside()
        session = admitted(link, admission, frame)
        if session is None:
            raise RuntimeError("the sample paglet was not admitted")
        for asked in (
            RunHook(1, HookKind.CREATION, {}, b"null"),
            Depart(2, Departure(kind=DepartureKind.CHECKPOINT)),
            Deliver(3, Message(kind="count", message_id="rehearsal")),
        ):
            step_aside()
            session.rehearse(asked)


def _sample() -> tuple[AdmitSpec, PayloadHead]:
    spec = AdmitSpec(
        agent_id="rehearsal",
        incarnation=Incarnation(),
        class_name=_SAMPLE,
        host_name="",
        host_address="",
        work_dir="",
        storage_dir="",
        # A process that others are forked from must not be killed because it was stopped for a while in here.
        limits=Limits(decode_seconds=0.0),
    )
    state = BytesIO()
    dump_state({"count": 1}, state)
    return spec, PayloadHead(state.getvalue(), len(state.getvalue()))
