"""Two hosts of a mesh, and a header between them."""

from __future__ import annotations

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import MoveKind
from paglets.remote.envelopes.header import EnvelopeHeader
from paglets.remote.trust.keys import HostKey

MESH = HostKey.generate().host_id
SOURCE = HostKey.generate()
TARGET = HostKey.generate()


def make_header(
    *, mesh: str = MESH, source: HostKey = SOURCE, target: str = TARGET.host_id, counter: int = 7
) -> EnvelopeHeader:
    return EnvelopeHeader(
        mesh_id=mesh,
        kind=MoveKind.DISPATCH,
        transfer_id=TransferId(source.host_id, counter),
        agent_id="surveyor-1",
        birth=source.host_id,
        incarnation=Incarnation(epoch=3),
        source=source.host_id,
        destination=target,
        class_name="survey.agents:Surveyor",
        state_class_name="survey.agents:Surveyor.State",
        code_version="2026.11",
        payload_size=1000,
        ticket={"destination": "barn", "timeout": 10.0},
        sent_at=1_795_000_000.25,
        source_name="kitchen",
        source_url="https://192.0.2.1:8765",
        target_name="barn",
    )
