"""From a bare process to a paglet at work."""

from __future__ import annotations

import gc
import socket
from contextlib import nullcontext

from paglets.core.errors import HostError
from paglets.runtime.child.admission import Admission, load_payload
from paglets.runtime.child.describing import declared_services, describe
from paglets.runtime.child.hooks import arriving_hooks
from paglets.runtime.child.limits import apply_limits, decoding
from paglets.runtime.child.link import ChildLink, head_of
from paglets.runtime.child.session import Session
from paglets.runtime.child.state_text import send_state_text
from paglets.runtime.child_specs import Admitted
from paglets.runtime.frames import Admit, AdmittedAnswer, Describe, Described, Inspect, Prepare
from paglets.serialization.codec import qualified_name


def run_child(descriptor: int) -> int:
    """Serve the host at the other end of that socket, until one of the two is done; the exit code."""
    link = ChildLink(socket.socket(fileno=descriptor))
    frame = next(link.frames(), None)
    match frame:
        case None:
            return 0
        case Prepare(spec, size):
            session = _prepared(link, Admission(spec, size))
            if session is None:
                return 0
            gc.freeze()  # modules and classes of the paglet live as long as the process does
            return session.serve()
        case Inspect():
            _inspect(link, frame)
            return 0
        case Describe():
            _describe(link, frame)
            return 0
        case _:
            raise HostError("a child is first told what it is for")


def _prepared(link: ChildLink, admission: Admission) -> Session | None:
    """The session of a paglet whose state is still to come; None when it did not, or it cannot run here."""
    admission.import_classes()
    match next(link.frames(), None):
        case None:
            return None
        case Admit() as frame:
            return admitted(link, admission, frame)
        case _:
            raise HostError("a child that was prepared is admitted next")


def admitted(link: ChildLink, admission: Admission, frame: Admit) -> Session | None:
    """The session of that paglet, the host told of it; None when it cannot run here."""
    payload = link.payload_of(frame)
    try:
        paglet = admission.paglet(payload)
        paglet_class = type(paglet)
        session = Session(link, paglet, admission.spec)
        facts = Admitted(
            class_name=qualified_name(paglet),
            state_class_name=qualified_name(paglet.state),
            checkpoint=paglet_class.CHECKPOINT.to_wire(),
            restart=paglet_class.RESTART.to_wire(),
            hooks=arriving_hooks(paglet),
            services=declared_services(paglet_class),
        )
        with session.state() if frame.gives_state else nullcontext() as state:
            link.send(AdmittedAnswer(frame.seq, facts, None if state is None else head_of(state)), state)
    except Exception as error:  # noqa: BLE001 - whatever an author's class raises is why it cannot run here
        link.answer(frame.seq, error=error)
        return None
    finally:
        if payload is not None:
            payload.close()
    return session


def _describe(link: ChildLink, frame: Describe) -> None:
    try:
        facts = describe(frame.spec)
    except Exception as error:  # noqa: BLE001 - whatever an author's module raises is why it cannot run here
        link.answer(frame.seq, error=error)
    else:
        link.send(Described(frame.seq, facts))


def _inspect(link: ChildLink, frame: Inspect) -> None:
    apply_limits(frame.limits)
    payload = link.payload_of(frame)
    if payload is None:
        raise HostError("there is nothing to look into")
    try:
        with payload, decoding(frame.limits, payload.size):
            send_state_text(link, frame.seq, load_payload(payload))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with those bytes is the answer
        link.answer(frame.seq, error=error)
