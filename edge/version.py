"""The release of the appliance: that of the library in it."""

from paglets.core.version import VERSION

__all__ = ["VERSION"]
