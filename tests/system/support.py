"""What the tests of the system services share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from paglets.system.mesh_info import MESH_INFO_AGENT_ID
from paglets.system.mesh_info.agent import MeshInfo
from paglets.system.server_info import SERVER_INFO_AGENT_ID
from paglets.system.server_info.agent import ServerInfo
from paglets.system.user_info import USER_INFO_AGENT_ID
from paglets.system.user_info.agent import UserInfo

if TYPE_CHECKING:
    from paglets.core.agent import Paglet
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host
    from paglets.services.operations import ServiceOperation

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


def mesh_info(host: Host) -> PagletProxy:
    """The mesh-info paglet of a host, made if the host does not keep one."""
    return _service(host, MeshInfo, MESH_INFO_AGENT_ID)


def server_info(host: Host) -> PagletProxy:
    """The server-info paglet of a host."""
    return _service(host, ServerInfo, SERVER_INFO_AGENT_ID)


def user_info(host: Host) -> PagletProxy:
    """The user-info paglet of a host."""
    return _service(host, UserInfo, USER_INFO_AGENT_ID)


def call(
    proxy: PagletProxy, op: ServiceOperation[RequestT, ReplyT], request: RequestT | None = None
) -> ReplyT:
    """Ask a service by its paglet."""
    return op.decode_reply(proxy.send(op.to_message(request), timeout=20.0))


def _service(host: Host, cls: type[Paglet[Any]], agent_id: str) -> PagletProxy:
    return host.get_proxy(agent_id, include_inactive=True) or host.create(cls, agent_id=agent_id)
