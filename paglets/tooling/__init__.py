"""Tools for those who write paglets and those who look after them."""
