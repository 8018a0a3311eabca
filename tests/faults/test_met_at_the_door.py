"""A message that finds a paglet in the journal just before its host has put it on the table starts no second process.

That one would begin from what the paglet had arrived with, and what its hook has done since would be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.errors import PagletError
from paglets.core.messages import Message
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from tests.faults.moving import begin, traveller

if TYPE_CHECKING:
    from tests.faults.site import Site


def test_a_dispatch_comes_between_the_decision_and_its_settlement(site: Site) -> None:
    agent_id = traveller(site)
    site["b"].hold("after:verdict:arrived")
    call = begin(site, "dispatch", agent_id)
    site["b"].reached("after:verdict:arrived")
    onward = site.soon(lambda: site.proxy("b", agent_id).dispatch(TransferTicket(site["a"].url)))
    for _ in range(3):
        site.ask("b", api.PAGLETS_INFO, api.PagletParams(agent_id=agent_id))
    site["b"].let_go("after:verdict:arrived")
    call.result(20.0)
    failed = onward.exception(20.0)
    assert failed is None or isinstance(failed, PagletError)
    where = site.settled(agent_id)
    assert site.tell(where.host, agent_id, "look")["log"].count("arrival@b") == 1
    site.only_their_processes()


def test_a_message_comes_between_the_decision_and_its_settlement(site: Site) -> None:
    agent_id = traveller(site)
    site["b"].hold("after:verdict:arrived")
    call = begin(site, "dispatch", agent_id)
    site["b"].reached("after:verdict:arrived")
    reply = site.proxy("b", agent_id).send_future(Message("look"))
    for _ in range(3):  # what was sent before has been looked at by then
        site.copies(agent_id)
    site["b"].let_go("after:verdict:arrived")
    call.result(20.0)
    assert reply.get_reply(20.0)["log"].count("arrival@b") == 1
    assert site.settled(agent_id).epoch == 2
    site.only_their_processes()
