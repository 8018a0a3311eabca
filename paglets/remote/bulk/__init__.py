"""Artifacts and files on the stream path of the wire."""
