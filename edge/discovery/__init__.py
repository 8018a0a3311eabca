"""Finding hosts on the local network."""
