"""The address of a paglet, under the name that authors import: defined with the vocabulary, in ``paglets.core``."""

from paglets.core.references import PagletProxyRef, ProxyMaker

__all__ = ["PagletProxyRef", "ProxyMaker"]
