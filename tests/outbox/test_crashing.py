"""A message that is too much for its paglet does not come back for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.messages import Message
from tests.outbox.agents import Stubborn
from tests.outbox.asking import dead_letters, items, note, seen_from

if TYPE_CHECKING:
    from paglets.testing.mesh import LocalMesh


def test_a_message_that_ends_its_process_again_and_again_is_a_dead_letter(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = b.create(Stubborn)
    paglets_mesh.stop("b")
    seen_from(a, proxy).send_oneway(Message("crash"))
    seen_from(a, proxy).send_oneway(note("after"))
    b = paglets_mesh.start("b")
    paglets_mesh.wait_until(lambda: dead_letters(b), within=20.0)
    (letter,) = dead_letters(b)
    assert letter["kind"] == "crash"
    assert "3 times" in letter["reason"]
    paglets_mesh.wait_until(lambda: items(seen_from(b, proxy)) == ["after"], within=20.0)
