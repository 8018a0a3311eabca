"""Resources of paglets, under the names that authors import: defined with the vocabulary, in ``paglets.core``."""

from paglets.core.errors import ResourceCleanupError
from paglets.core.resources import ResourceRegistry

__all__ = ["ResourceCleanupError", "ResourceRegistry"]
