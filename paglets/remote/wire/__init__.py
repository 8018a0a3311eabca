"""Bytes between hosts: the listener, control links, transfer streams and JSON reads of ``paglets.v1``."""
