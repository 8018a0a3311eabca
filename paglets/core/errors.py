"""Every error of the project.

::

    PagletError
    ├── SerializationError
    ├── HostError
    │   └── ServiceContractError
    │       └── ServiceNotFoundError
    ├── AuthenticationError
    ├── ForbiddenError
    ├── RemoteHostError
    ├── InvalidAgentError
    ├── PagletInactiveError
    ├── PagletCrashedError
    ├── NotHandledError
    ├── LifecycleError
    │   └── ResourceCleanupError
    ├── TransferError
    │   └── TransferInDoubtError
    └── StorageQuotaError

An error raised on one host, or in a child, arrives at the caller as the same class: see
``paglets.core.error_reports``.
"""

from __future__ import annotations


class PagletError(Exception):
    """Base of all errors that this project raises on purpose."""


class SerializationError(PagletError):
    """A value cannot be turned into data, or data cannot be turned into the value asked for."""


class HostError(PagletError):
    """A host refused or failed; also what any foreign exception in a handler arrives as."""


class ServiceContractError(HostError):
    """A service contract, or a message under one, is not what it has to be."""


class ServiceNotFoundError(ServiceContractError):
    """Nobody offers the service that was required."""


class AuthenticationError(PagletError):
    """The other side could not show who it is."""


class ForbiddenError(PagletError):
    """The caller is known and may not do this."""


class RemoteHostError(PagletError):
    """Another host cannot be reached, or answered with what is no answer."""


class InvalidAgentError(PagletError):
    """No paglet of that id is known where it was looked for."""


class PagletInactiveError(PagletError):
    """The paglet is parked, and the caller asked not to wait for it."""


class PagletCrashedError(PagletError):
    """The paglet's process ended before it answered."""


class NotHandledError(PagletError):
    """The paglet has no use for a message of that kind."""


class LifecycleError(PagletError):
    """The paglet's place in its life does not allow this, or one of its hooks failed."""


class ResourceCleanupError(LifecycleError):
    """Resources of a paglet could not be cleaned up, so what needed that did not happen.

    ``failures`` maps the name of each such resource to what its cleanup raised.
    """

    def __init__(self, failures: dict[str, Exception]) -> None:
        super().__init__(failures)
        self.failures = failures

    def __str__(self) -> str:
        listed = "; ".join(
            f"{name}: {type(error).__name__}: {error}" for name, error in self.failures.items()
        )
        return f"resources could not be cleaned up: {listed}"


class TransferError(PagletError):
    """The paglet did not move, durably: it is where it was."""


class TransferInDoubtError(TransferError):
    """Whether the paglet moved cannot be told yet; it stays parked until its target has answered.

    ``transfer_id`` names the transfer, as ``paglets transfers`` shows it.
    """

    def __init__(self, transfer_id: str, detail: str = "") -> None:
        super().__init__(transfer_id, detail)
        self.transfer_id = transfer_id
        self.detail = detail

    def __str__(self) -> str:
        sentence = (
            f"transfer {self.transfer_id} is in doubt: the paglet stays parked until its target has answered"
        )
        return f"{sentence} ({self.detail})" if self.detail else sentence


class StorageQuotaError(PagletError):
    """A write would take a paglet's persistent storage over its quota; nothing was written."""
