"""The rules by which a host's journal changes: each durable step one small function over a transaction.

Every function here whose first parameter is ``tx: JournalTransaction`` is one durable step (or a part of
one): it reads, checks its precondition - the incarnation it was asked about, or the transfer id - and only
then writes. When the precondition no longer holds it raises `conflict.JournalConflict` and nothing is
written, whatever message asked for the step. The whole protocol is drawn in ``docs/protocol.md``.

=============  ==========================================================================
``lifecycle``  create, checkpoint, complete_hook, mark_failed, deactivate, activate,
               recover, move_here, dispose
``moves``      the source of a transfer: prepare, prepare_clone, abort, settle_arrived,
               settle_fenced
``arrivals``   the target of a transfer: arrive, fence, answer_query, keep_receipt
``adoption``   adopt, adopt_copy, discard_copy: an operator says that a copy counts
``meeting``    what follows where copies meet: take_notice, notice_acknowledged,
               tell_everyone, settle_abandoned, close_abandoned
``counters``   reserve_counters; the floor a source tells
``peers``      note_floor, note_peer_store, note_own_store
``queues``     enqueue, take_message, hand_on; following forwards
``queued_dispatch``  queue_dispatch, give_back, park_queued
``forgetting`` forget
=============  ==========================================================================
"""
