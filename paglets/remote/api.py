"""The operations of a host, as every door offers them: the control link, the local socket, a child's link.

One name, one parameter struct and one result for each operation, whoever asks. Parameters and results are
JSON; what belongs to a paglet (arguments, replies, states) passes as raw JSON text that no host opens.
Unknown fields are ignored, so that a newer client can talk to an older host.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from paglets.core.incarnation import Incarnation
from paglets.core.runtime_values import ServiceScope

Text = Annotated[str, Meta(max_length=512)]
"""A name, an id or a URL: what is kept in memory or in the store is bounded when it is read."""
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A number that every JSON reader reads as the same."""

EMPTY_OBJECT = msgspec.Raw(b"{}")
NULL = msgspec.Raw(b"null")


class Params(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Base of every operation's parameters."""


class NoParams(Params, frozen=True):
    """For operations that take none."""


# --- the host itself -------------------------------------------------------------------------------------

HOST_STATUS = "host.status"
"""``NoParams`` -> object: ``name host_id mesh_id address version ready`` and more. Waits a second at most."""
HOST_HEALTH = "host.health"
"""``NoParams`` -> object: ``Host.health()``."""
HOSTS_LIST = "hosts.list"
"""``HostsListParams`` -> ``{"hosts": [HostRef fields]}``."""


HOST_ASK = "host.ask"
"""``AskParams`` -> what that operation answers there. For askers on this machine only: the host vouches for them.

A host that is named itself runs the operation; any other is asked over this host's own control link.
"""


class AskParams(Params, frozen=True):
    """An operation of another host of the mesh, asked through this one."""

    host_url: str
    """Host URL or mesh name."""
    method: str
    params: msgspec.Raw = EMPTY_OBJECT
    timeout: float | None = None
    """Seconds to wait for the other host's answer; None: what this host thinks right."""


HOST_PROPERTY = "host.property"
"""``PropertyParams`` -> ``{"found": bool, "value": ...}``: what somebody set on this host."""
HOST_SET_PROPERTY = "host.set-property"
"""``SetPropertyParams`` -> ``{}``."""


class PropertyParams(Params, frozen=True):
    """Which property to read."""

    key: str


class SetPropertyParams(Params, frozen=True):
    """A property to set, for everybody on the host, until it stops."""

    key: Annotated[str, Meta(min_length=1, max_length=256)]
    value: msgspec.Raw = NULL


HOST_DRAIN = "host.drain"
"""``DrainParams`` -> ``{"host", "draining", "running", "moved", "moves", "failed", "failed_count"}``; never waits.

``moves``: ``{"number", "agent_id", "host_name", "note"}`` of the last thousand; ``failed``: ``{"agent_id", "reason"}``
of the first hundred that are still there. It goes on whether or not anybody asks again.
"""


HOST_ACCEPT_RESTORED = "host.accept-restored"
"""``AcceptRestoredParams`` -> ``{"host", "given_up": ids, "doubled": ids, "silent": names of hosts}``."""


class AcceptRestoredParams(Params, frozen=True):
    """``force``: also when not every host could be asked what it has of this one's."""

    force: bool = False


HOST_BACKUP = "host.backup"
"""``NoParams`` -> ``{"path", "host_id", "store_id", "commit", "files"}``: a backup, left in the data directory.

For askers on this machine, who take the file away. One at a time.
"""


class DrainAction(StrEnum):
    """What to do about draining."""

    BEGIN = "begin"
    """Take nothing in, and move everything away; again: try once more what is left."""
    UNDO = "undo"
    LOOK = "look"


class DrainParams(Params, frozen=True):
    """What to do, where to move to (names or URLs; none: anywhere), and which moves to tell of."""

    action: DrainAction = DrainAction.LOOK
    to: Annotated[list[Text], Meta(max_length=256)] = []
    since: Count = 0


class HostsListParams(Params, frozen=True):
    """Which hosts of the mesh to list."""

    online_only: bool = False
    include_self: bool = True


# --- paglets ---------------------------------------------------------------------------------------------

PAGLETS_LIST = "paglets.list"
"""``PagletsListParams`` -> ``{"agents": [...]}``, with ``"cursor": str`` when there are more."""
PAGLETS_INFO = "paglets.info"
"""``PagletParams`` -> object, as ``GET /agents/ID``."""
PAGLETS_STATE = "paglets.state"
"""``PagletParams`` -> ``{"active": bool, "state": {...}}``."""
PAGLETS_PASSPORT = "paglets.passport"
"""``PagletParams`` -> ``{"agent_id", "host_name", "departed", "receipt", "stops": [...], ...}``: where it has been,
as signed (``envelopes.stops.Stop``) and as verified (the fields of ``envelopes.passport.Passport``)."""
PAGLETS_LOCATE = "paglets.locate"
"""``LocateParams`` -> ``{"places": [{"agent_id", "host_url", "host_name"}]}``: whose id begins so, mesh-wide."""
PAGLETS_CREATE = "paglets.create"
"""``CreateParams`` -> ``Place``; returns when ``on_creation`` has returned."""
PAGLETS_DISPATCH = "paglets.dispatch"
"""``DispatchParams`` -> ``Place``; returns when ``on_arrival`` has returned at the target."""
PAGLETS_CLONE = "paglets.clone"
"""``CloneParams`` -> ``Place`` of the clone."""
PAGLETS_RETRACT = "paglets.retract"
"""``RetractParams`` -> ``Place``: brings a paglet from where it is to the host that is asked."""
PAGLETS_SURRENDER = "paglets.surrender"
"""``SurrenderParams`` -> ``Place``: asked by the retracting host of the host where the paglet is."""
PAGLETS_ARRIVAL = "paglets.arrival"
"""``ArrivalParams`` -> ``{}`` when the first hook of that life has returned; its error as ``LifecycleError``."""
PAGLETS_DEACTIVATE = "paglets.deactivate"
"""``DeactivateParams`` -> ``Place``."""
PAGLETS_ACTIVATE = "paglets.activate"
"""``PagletParams`` -> ``Place``."""
PAGLETS_DISPOSE = "paglets.dispose"
"""``PagletParams`` -> ``{}``."""
PAGLETS_CHECKPOINT = "paglets.checkpoint"
"""``PagletParams`` -> ``{}``: the paglet's current state is the durable one now."""
PAGLETS_NOTIFY = "paglets.notify"
"""``NotifyParams`` -> ``{}``: wakes those in ``wait_message``."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a paglet is: what a proxy is made of."""

    host_url: str
    agent_id: str
    queued: bool = False
    """It waits there in the outbox, until the host that it shall move to is back."""


class PagletParams(Params, frozen=True):
    """Names one paglet."""

    agent_id: str


class NotifyParams(Params, frozen=True):
    """Whose waiting threads to wake: one of them, or all."""

    agent_id: str
    everyone: bool = False


class PagletsListParams(Params, frozen=True):
    """Which paglets to list, and from where on."""

    state: str = "active"
    """``active``, ``inactive`` or ``all``."""
    limit: int = 1000
    cursor: str = ""
    memory: bool = False
    """Look up how much memory each one's process uses, too."""


class LocateParams(Params, frozen=True):
    """Which paglets to find: by id or the beginning of one, on one host of the mesh, or on all."""

    prefix: str
    host: str = ""
    """Host URL or mesh name; empty: this host first, then the others."""
    limit: int = 20
    mesh: bool = True
    """Ask the other hosts, too; false when a host asks on behalf of its own asker."""


class CreateParams(Params, frozen=True):
    """What to create, and on which host of the mesh."""

    class_name: str
    state_class_name: str = ""
    """Empty: the class's own ``State``."""
    state: msgspec.Raw = NULL
    """The fields of the state as a JSON object; null for the defaults."""
    init: msgspec.Raw = NULL
    agent_id: str = ""
    """Empty: a fresh one."""
    target: str = ""
    """Host URL or mesh name; empty: the host that is asked."""


class DispatchParams(Params, frozen=True):
    """What to move, and the ticket (``TransferTicket.to_wire()``) to move it with."""

    agent_id: str
    ticket: dict[str, Any]


class CloneParams(Params, frozen=True):
    """What to clone, and where to; no ticket: beside the original."""

    agent_id: str
    ticket: dict[str, Any] | None = None


class RetractParams(Params, frozen=True):
    """What to bring here; ``source_url`` empty: from wherever the mesh says it is."""

    agent_id: str
    source_url: str = ""
    timeout: float = 10.0


class ArrivalParams(Params, frozen=True):
    """Which life's first hook to wait for, in seconds at most; a paglet that has moved on since has arrived."""

    agent_id: str
    incarnation: Incarnation
    timeout: float


class SurrenderParams(Params, frozen=True):
    """A retract, as asked of the host where the paglet is."""

    agent_id: str
    incarnation: Incarnation
    """What the asking host saw; the source compares before it starts."""
    url: str = ""
    """Where the asking host listens; its key is the connection's."""
    timeout: float = 10.0


class DeactivateParams(Params, frozen=True):
    """What to park, and the request (``DeactivationRequest.to_wire()``)."""

    agent_id: str
    request: dict[str, Any] = {}


# --- messages --------------------------------------------------------------------------------------------

MESSAGE_SEND = "message.send"
"""``MessageParams`` -> the reply, as the paglet gave it; ``{"queued": true, "message_id": ...}`` when parked.

With ``oneway`` the answer is ``{"accepted": true}``, as soon as the message is in the mailbox.
"""
MESSAGE_MULTICAST = "message.multicast"
"""``MulticastParams`` -> ``{"agent_ids": [...]}``: delivered to every active paglet here but ``exclude``.

The replies are collected by sending to each; see ``Host.multicast_message``.
"""


class MessageParams(Params, frozen=True):
    """One message. ``sender`` is set by the host that the sender lives on; what a sender writes is replaced."""

    agent_id: str
    kind: Text
    message_id: Text
    body: msgspec.Raw = EMPTY_OBJECT
    """``{"args": {...}, "arg": ..., "reply_to": ...}``: one JSON object, opened by the paglet only."""
    sender: Text | None = None
    priority: int = 5
    message_type: int = 0
    timestamp: float = 0.0
    activate_if_inactive: bool = True
    no_delay: bool = False
    timeout: float | None = None
    hops: int = 0
    """Forwards followed so far; bounded."""
    followed: Incarnation | None = None
    """The life that the last followed forward named; only a forward to a greater one is followed next."""
    waiting: Annotated[list[Text], Meta(max_length=256)] = []
    """Paglets whose handlers wait for the reply, each for the next; set by hosts, like ``sender``."""


class MulticastParams(Params, frozen=True):
    """Who would get a message of this kind."""

    exclude: str = ""


# --- services --------------------------------------------------------------------------------------------

SERVICES_ADVERTISE = "services.advertise"
"""``AdvertiseParams`` -> ``ServiceRecord`` fields. A paglet offers for itself only; else whoever is on this machine."""
SERVICES_UNADVERTISE = "services.unadvertise"
"""``UnadvertiseParams`` -> ``{"services": [...]}``: what was taken back."""
SERVICES_LOOKUP = "services.lookup"
"""``LookupParams`` -> ``{"services": [ServiceRecord fields]}``; ``mesh`` scope: from every host that answers."""
SERVICES_LIST = "services.list"
"""``ServicesListParams`` -> ``{"services": [...]}``, with ``cursor`` when there are more: what paglets offer here."""

SERVICES_LEASE = "services.lease"
"""``LeaseParams`` -> ``{"lease_id": str, "ttl": float}``: the service is up, and stays so."""
SERVICES_RELEASE = "services.release"
"""``ReleaseParams`` -> ``{}``: of a lease that is over nothing happens."""


class LeaseParams(Params, frozen=True):
    """Which provider to keep up, on which host, for how many seconds."""

    agent_id: str
    ttl: float
    host_url: Text = ""
    """Of the provider's host; empty: the one that is asked."""
    lease_id: Text = ""
    """Chosen by who asks; empty: by the host."""


class ReleaseParams(Params, frozen=True):
    """Which lease to end, granted by which host (empty: the one that is asked)."""

    lease_id: Text
    host_url: Text = ""


class AdvertiseParams(Params, frozen=True):
    """An offer of a service."""

    agent_id: str
    name: Text
    capabilities: Annotated[list[Text], Meta(max_length=256)] = []
    metadata: dict[str, Any] = {}
    scope: ServiceScope = ServiceScope.LOCAL
    ttl: float | None = None
    """Seconds until it has to be renewed; None: as long as the paglet is there."""


class UnadvertiseParams(Params, frozen=True):
    """Whose offer to take back."""

    agent_id: str
    name: Text


class LookupParams(Params, frozen=True):
    """Which service to find."""

    name: Text = ""
    """Empty: any."""
    capability: Text = ""
    """Empty: any."""
    scope: ServiceScope = ServiceScope.LOCAL
    version: Text = ""
    """Offers of a contract, of that version; empty: any offer."""
    operations: Annotated[list[Text], Meta(max_length=256)] = []
    """And with at least these operations."""
    first: bool = False
    """One is enough: the nearest, or whoever answers first."""


class ServicesListParams(Params, frozen=True):
    """Which offers to list, and from where on."""

    name: Text = ""
    capability: Text = ""
    scope: ServiceScope = ServiceScope.LOCAL
    """``local``: all that are on this host; ``mesh``: those that other hosts can find."""
    limit: Annotated[int, Meta(ge=1)] = 1000
    cursor: str = ""


# --- events, logs, transfers -----------------------------------------------------------------------------

EVENTS_LIST = "events.list"
"""``EventsListParams`` -> ``{"events": [...]}``."""
EVENTS_SUBSCRIBE = "events.subscribe"
"""``EventsListParams`` -> ``{"subscription": int}``; events follow as ``event`` notifications on this connection."""
EVENTS_NOTIFICATION = "event"
"""Notification: ``{"subscription": int, "event": {...}}``."""
SUBSCRIPTION_CANCEL = "subscription.cancel"
"""``SubscriptionParams`` -> ``{}``: no more notifications of that subscription; of one that is none, too."""
SUBSCRIPTION_ENDED = "subscription.ended"
"""Notification: ``{"subscription": int, "reason": str}``: the host dropped a subscriber that was too slow."""
LOGS_READ = "logs.read"
"""``LogsReadParams`` -> ``{"lines": [{"seq": int, "time": float, "line": str}]}``: a paglet's captured output."""
TRANSFERS_LIST = "transfers.list"
"""``NoParams`` -> ``{"transfers": [{"transfer_id", "agent_id", "peer", "direction", "status"}]}``."""


class EventsListParams(Params, frozen=True):
    """Events with an id greater than ``since``."""

    since: int = 0
    limit: int = 100


class SubscriptionParams(Params, frozen=True):
    """A subscription of the connection that asks."""

    subscription: int


class LogsReadParams(Params, frozen=True):
    """Lines with a number greater than ``since``."""

    agent_id: str
    since: int = 0
    limit: int = 1000


# --- between hosts ---------------------------------------------------------------------------------------

HOST_HELLO = "host.hello"
"""``HelloParams`` -> ``HelloParams`` of the answering host. The first call on a link between hosts."""
VERDICT_ASK = "verdict.ask"
"""``VerdictAskParams`` -> ``{"verdict": base64 of the signed verdict}`` or ``{"closed": true}``."""
TRANSFERS_OPEN = "transfers.open"
"""``OpenTransfersParams`` -> ``OpenTransfersPage``: what the answering host holds open to the one that asks."""
ADOPTION_NOTICE = "adoption.notice"
"""``NoticeParams`` -> ``NoticeTaken``: the receiver has done what follows from it, durably."""
MESH_PING = "mesh.ping"
"""Membership traffic: an opaque bounded JSON payload -> the same, see ``paglets.remote.membership``."""
MESH_PROBE = "mesh.probe"
"""An indirect ping on behalf of the asking host."""
MESH_GOODBYE = "mesh.goodbye"
"""This host leaves; ``GoodbyeParams`` -> ``{}``."""
REVOCATIONS_EXCHANGE = "revocations.exchange"
"""``RevocationsParams`` -> ``RevocationsParams``, page by page: both sides end with the union."""


class HelloParams(Params, frozen=True):
    """Who a host is and how current its store is."""

    host_id: Text
    name: Text
    url: Text
    """The address it listens on, as it knows it; empty when the other side knows better."""
    addresses: Annotated[list[Text], Meta(max_length=16)] = []
    code_version: Text = ""
    product_version: Text = ""
    store_id: Text = ""
    commit: Count = 0
    standing: Text = ""
    """The sender's signature over the two, see ``paglets.remote.trust.standings``."""
    floor: Count = 0
    """The lowest transfer id to the other host that is allocated and not settled."""
    counter: Count = 0
    """The next transfer id that the sender hands out; 0: it does not say."""
    revocations: Text = ""
    """Digest of the revocation set, so that equal sets are not exchanged."""
    seen_store_id: Text = ""
    seen_commit: Count = 0
    """The furthest that the sender ever saw the receiver's store."""
    seen_standing: Text = ""
    """And the receiver's own signature over that: without it, nobody has to believe it."""


class VerdictAskParams(Params, frozen=True):
    """Which transfer the source asks about."""

    source: Text
    counter: Annotated[int, Meta(ge=1, le=2**53)]
    agent_id: str
    incarnation: Incarnation
    floor: Count = 0
    next_counter: Count = 0
    """The next that the source hands out; 0: it does not say."""


class OpenTransfersParams(Params, frozen=True):
    """Transfers in the order of their ids, from the one after ``after``."""

    after: Count = 0


class OpenTransferView(msgspec.Struct, frozen=True):
    """A transfer that its source holds open, and the paglet that it is to bring."""

    counter: Count
    agent_id: Text
    birth: Text
    incarnation: Incarnation
    class_name: Text = ""
    state_class_name: Text = ""


class OpenTransfersPage(msgspec.Struct, frozen=True):
    """Some of them, and how far the source's counter is."""

    next_counter: Count
    transfers: list[OpenTransferView]
    more: bool = False
    """There are others, after the last of these."""


class NoticeParams(Params, frozen=True):
    """A paglet lives in a higher lineage: where, and in which life."""

    agent_id: str
    birth: Text
    """Host id of the host where it was created: another paglet may have the same id."""
    incarnation: Incarnation
    host_id: Text
    """Of the host where it is, or was, in that life."""
    url: Text = ""
    name: Text = ""
    everywhere: bool = False
    """The sender tells every host: who has sent the paglet on need not see to more than that the next one hears."""


class NoticeTaken(msgspec.Struct, frozen=True, omit_defaults=True):
    """The receiver's acknowledgement of a notice."""

    lost_track: bool = False
    """If a lower copy was ever there, that host does not know where it went, and tells nobody."""


class GoodbyeParams(Params, frozen=True):
    """Why the host leaves, for people."""

    reason: Text = ""


class RevocationsParams(Params, frozen=True):
    """A page of signed revocation entries, base64; the answer is the same page of the other side's."""

    entries: Annotated[list[Annotated[str, Meta(max_length=16 * 1024)]], Meta(max_length=256)] = []
    page: Count = 0
    more: bool = False
    """Whether the side that sends this has further pages."""
